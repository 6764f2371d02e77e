package mesh

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// health is of a cluster with so many endpoints and the defaults, changed.
func health(n int, change func(c *CompiledCluster, o *OutlierDetection)) *Health {
	c := cluster(RoundRobin, 2, n)
	c.Name, c.Outliers, c.Panic = "c", new(DefaultOutliers), DefaultPanic
	for i := range c.Endpoints {
		c.Endpoints[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(i+1))
	}
	change(c, c.Outliers)
	return NewHealth(c)
}

// up is who gets requests, by their place among the endpoints of health.
func (v *View) up() (who []int) { return indices(v.hosts) }

func indices(hosts []*Host) (who []int) {
	for _, h := range hosts {
		who = append(who, int(h.Addr.Port())-1)
	}
	return who
}

func never() uint64 { panic("nothing is left to chance") }

func (h *Health) answers(i int, statuses ...int) (c Change) {
	for _, s := range statuses {
		c = h.Answered(h.hosts[i], s, 0, never)
	}
	return c
}

func TestConsecutive(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(o *OutlierDetection)
		statuses []int
		ejected  bool
		stats    string
	}{
		{"five of 5xx", func(o *OutlierDetection) {}, []int{500, 501, 502, 503, 599}, true, "detected_consecutive_5xx enforced_consecutive_5xx"},
		{"four", func(o *OutlierDetection) {}, []int{500, 500, 500, 500}, false, ""},
		{"interrupted", func(o *OutlierDetection) {}, []int{500, 500, 500, 500, 404, 500}, false, ""},
		{"off", func(o *OutlierDetection) { o.Consecutive5xx = 0 }, []int{500, 500, 500, 500, 500, 500}, false, ""},
		{"not enforced", func(o *OutlierDetection) { o.Enforce5xx = 0 }, []int{500, 500, 500, 500, 500}, false, "detected_consecutive_5xx"},
		{"gateways, not enforced", func(o *OutlierDetection) { o.Consecutive5xx = 9 }, []int{502, 503, 504, 502, 503}, false, "detected_consecutive_gateway_failure"},
		{"gateways", func(o *OutlierDetection) { o.Consecutive5xx, o.EnforceGateway = 9, 100 }, []int{502, 503, 504, 502, 503}, true, "detected_consecutive_gateway_failure enforced_consecutive_gateway_failure"},
		{"gateways, interrupted", func(o *OutlierDetection) { o.Consecutive5xx, o.EnforceGateway = 9, 100 }, []int{502, 503, 500, 504, 502, 503}, false, ""},
		{"too many", func(o *OutlierDetection) { o.MaxPercent = 24 }, []int{500, 500, 500, 500, 500}, false, "detected_consecutive_5xx overflow"},
		{"one at least", func(o *OutlierDetection) { o.MaxPercent, o.AlwaysEjectOne = 0, true }, []int{500, 500, 500, 500, 500}, true, "detected_consecutive_5xx enforced_consecutive_5xx"},
	} {
		h := health(4, func(_ *CompiledCluster, o *OutlierDetection) { o.MaxPercent = 25; tt.change(o) })
		c := h.answers(2, tt.statuses...)
		require.Equal(t, tt.ejected, c.Any(), tt.name)
		want := []int{0, 1, 2, 3}
		if tt.ejected {
			want = []int{0, 1, 3}
			require.Equal(t, []int{2}, indices(c.Failed), tt.name)
		}
		require.Equal(t, want, h.View().up(), tt.name)
		got := map[string]uint64{}
		for _, s := range h.Stats(nil) {
			got[s.Name] = s.Value
		}
		for _, name := range []string{"detected_consecutive_5xx", "enforced_consecutive_5xx", "detected_consecutive_gateway_failure", "enforced_consecutive_gateway_failure", "overflow"} {
			n := uint64(0)
			if slices.Contains(strings.Fields(tt.stats), name) {
				n = 1
			}
			require.Equal(t, n, got["cluster.c.outlier_detection.ejections_"+name], "%s: %s", tt.name, name)
		}
		require.Equal(t, uint64(len(want)), got["cluster.c.membership_healthy"])
		require.Equal(t, uint64(4), got["cluster.c.membership_total"])
	}
}

func TestEjectionEnds(t *testing.T) {
	const s = time.Second
	h := health(2, func(c *CompiledCluster, o *OutlierDetection) {
		c.MergeWindow = 0
		o.Consecutive5xx, o.MaxPercent, o.BaseEjection, o.MaxEjection, o.Interval = 1, 50, 10*s, 25*s, s
	})
	now := time.Duration(0)
	away := func() (d time.Duration) { // for how long, when it fails now
		require.Equal(t, []int{0}, indices(h.Answered(h.hosts[0], 503, now, never).Failed))
		for began := now; ; {
			now += s
			if c := h.Sweep(now, never); c.Any() {
				require.Empty(t, c.Failed)
				require.Equal(t, []int{0, 1}, h.View().up())
				return now - began
			}
			require.Equal(t, []int{1}, h.View().up())
		}
	}
	require.Equal(t, 10*s, away())
	require.Equal(t, 20*s, away(), "twice as long the second time")
	require.Equal(t, 25*s, away(), "no longer than MaxEjection")
	for range 3 { // three good intervals
		now += s
		require.False(t, new(h.Sweep(now, never)).Any())
	}
	require.Equal(t, 10*s, away(), "what was good for long is as good as new")
}

func TestRates(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(o *OutlierDetection)
		bad    []int // of a hundred answers, by endpoint
		failed []int
	}{
		{"one stands out", func(*OutlierDetection) {}, []int{50, 0, 0, 0, 0}, []int{0}},
		{"all are bad", func(*OutlierDetection) {}, []int{50, 50, 50, 50, 50}, nil},
		{"two share", func(*OutlierDetection) {}, []int{50, 50, 0, 0, 0}, nil},
		{"too few endpoints", func(*OutlierDetection) {}, []int{50, 0, 0, 0}, nil},
		{"too few requests", func(o *OutlierDetection) { o.SuccessVolume = 101 }, []int{50, 0, 0, 0, 0}, nil},
		{"not enforced", func(o *OutlierDetection) { o.EnforceSuccess = 0 }, []int{50, 0, 0, 0, 0}, nil},
		{"failures", func(o *OutlierDetection) { o.EnforceSuccess, o.EnforceFailure = 0, 100 }, []int{85, 84, 0, 0, 86}, []int{0, 4}},
		{"failures, not enforced", func(o *OutlierDetection) { o.EnforceSuccess = 0 }, []int{99, 0, 0, 0, 0}, nil},
		{"both at once count once", func(o *OutlierDetection) { o.EnforceFailure = 100 }, []int{99, 0, 0, 0, 0}, []int{0}},
	} {
		h := health(len(tt.bad), func(_ *CompiledCluster, o *OutlierDetection) { o.MaxPercent, o.Consecutive5xx = 50, 0; tt.change(o) })
		for i, bad := range tt.bad {
			for n := range 100 {
				h.answers(i, map[bool]int{true: 500, false: 200}[n < bad])
			}
		}
		require.Equal(t, tt.failed, indices(h.Sweep(1, never).Failed), tt.name)
		require.Empty(t, h.Sweep(2, never).Failed, "%s: the next interval begins with nothing", tt.name)
		require.Equal(t, uint64(len(tt.failed)), h.detector.counters.Active, tt.name)
	}
}

func TestEnforcedByChance(t *testing.T) {
	h := health(10, func(_ *CompiledCluster, o *OutlierDetection) {
		o.MaxPercent, o.Consecutive5xx, o.Enforce5xx = 100, 1, 30
	})
	for i, draw := range []uint64{29, 30, 129, 199, 0} {
		require.Equal(t, draw%100 < 30, new(h.Answered(h.hosts[i], 500, 0, func() uint64 { return draw })).Any(), draw)
	}
}

func TestPanic(t *testing.T) {
	for _, tt := range []struct {
		threshold, endpoints, healthy int
		panics                        bool
	}{
		{50, 4, 4, false}, {50, 4, 2, false}, {50, 4, 1, true}, {50, 4, 0, true}, {50, 3, 1, true},
		{100, 4, 3, false}, {100, 4, 2, true}, {33, 5, 2, false}, {33, 5, 1, true}, {0, 4, 0, false}, {0, 0, 0, false}, {50, 0, 0, true},
	} {
		c := cluster(RoundRobin, 2, tt.endpoints)
		c.Panic = tt.threshold
		h := NewHealth(c)
		for _, x := range h.hosts[:tt.endpoints-tt.healthy] {
			x.down.Store(true)
		}
		v := h.look()
		require.Equal(t, tt.panics, v.Panic, "%+v", tt)
		want := tt.healthy
		if tt.panics {
			want = tt.endpoints
		}
		require.Len(t, v.hosts, want, "%+v", tt)
	}
}

// Changes that follow one another are seen together, and never forgotten.
func TestMergeWindow(t *testing.T) {
	const s = time.Second
	h := health(10, func(c *CompiledCluster, o *OutlierDetection) {
		c.MergeWindow = s
		o.Consecutive5xx, o.MaxPercent = 1, 100
	})
	at := func(now time.Duration, i int) Change { return h.Answered(h.hosts[i], 500, now, never) }
	require.Zero(t, at(5*s, 0).Due)
	require.Len(t, h.View().up(), 9, "the first is seen at once")
	require.Equal(t, 6500*time.Millisecond, at(5500*time.Millisecond, 1).Due)
	require.Equal(t, 6500*time.Millisecond, at(5600*time.Millisecond, 2).Due)
	require.Len(t, h.View().up(), 9)
	h.Renew(6499 * time.Millisecond)
	require.Len(t, h.View().up(), 9)
	h.Renew(6500 * time.Millisecond)
	require.Len(t, h.View().up(), 7)
	h.Renew(7 * s)
	require.Equal(t, 8*s, at(7*s, 3).Due)
	require.Zero(t, at(7501*time.Millisecond, 4).Due, "it has been a second")
	require.Len(t, h.View().up(), 5)
}

// What changes while workers pick is seen by the next pick; nobody is picked who
// is not in the view.
func TestBalancersUseTheView(t *testing.T) {
	for _, p := range Policies() {
		for _, weights := range [][]uint32{{1, 1, 1, 1}, {1, 2, 3, 4}} {
			h := health(4, func(c *CompiledCluster, o *OutlierDetection) {
				c.Policy, c.MergeWindow, c.minRing, c.maxRing = Policy(p), 0, 64, 64
				c.Weights = weights
				o.Consecutive5xx, o.MaxPercent, o.BaseEjection = 1, 100, time.Second
			})
			b := NewBalancer(h.View(), 7)
			seen := func() (who []int) {
				b.Use(h.View())
				for x := range uint64(400) {
					if i := indices([]*Host{b.Next(x*0x9e3779b97f4a7c15, true)})[0]; !slices.Contains(who, i) {
						who = append(who, i)
					}
				}
				slices.Sort(who)
				return who
			}
			require.Equal(t, []int{0, 1, 2, 3}, seen(), p)
			h.answers(1, 500)
			require.Equal(t, []int{0, 2, 3}, seen(), p)
			h.answers(2, 500)
			require.Equal(t, []int{0, 3}, seen(), p)
			h.answers(3, 500)
			require.Equal(t, []int{0, 1, 2, 3}, seen(), "%s: one of four is too few", p)
			h.Sweep(time.Hour, never)
			require.Equal(t, []int{0, 1, 2, 3}, seen(), p)
			v := h.View()
			require.Zero(t, testing.AllocsPerRun(100, func() { b.Use(v); b.Next(5, true); h.Answered(h.hosts[0], 200, 0, never) }), p)
		}
	}
}

func TestAnsweredByManyAtOnce(t *testing.T) {
	h := health(8, func(_ *CompiledCluster, o *OutlierDetection) { o.MaxPercent = 100 })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 4000 {
				h.Answered(h.hosts[n%8], 500*(n/8%2), time.Duration(n), never)
				h.Answered(h.hosts[n%8], 503, time.Duration(n), never)
				h.View().up()
			}
		})
	}
	for n := range 100 {
		h.Sweep(time.Duration(n)*time.Hour, never)
		h.Stats(nil)
	}
	wg.Wait()
	h.Sweep(1000*time.Hour, never)
	require.LessOrEqual(t, h.detector.counters.Active, uint64(8))
}

func TestOutliersAreValidated(t *testing.T) {
	for want, change := range map[string]func(c *Cluster){
		"outlier_detection.interval: is 0s, want 1 ms or more":            func(c *Cluster) { c.Outliers.Interval = 0 },
		"max_ejection_time: is 1s, want no less than base_ejection_time":  func(c *Cluster) { c.Outliers.MaxEjection = time.Second },
		"outlier_detection.max_ejection_percent: is 101, want 0 to 100":   func(c *Cluster) { c.Outliers.MaxPercent = 101 },
		"outlier_detection.enforcing_success_rate: is 101, want 0 to 100": func(c *Cluster) { c.Outliers.EnforceSuccess = 101 },
		"healthy_panic_threshold: is -1, want 0 to 100":                   func(c *Cluster) { c.Panic = new(-1.) },
		"update_merge_window: is -1ns, want 0 (none) or more":             func(c *Cluster) { c.MergeWindow = new(time.Duration(-1)) },
	} {
		cfg := config()
		cfg.Clusters[0].Outliers = new(DefaultOutliers)
		change(&cfg.Clusters[0])
		require.ErrorContains(t, cfg.Validate(), want)
	}
}
