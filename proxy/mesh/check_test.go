package mesh

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// asked is a check whose intervals tell which of them it was.
func asked() *HealthCheck {
	return &HealthCheck{Timeout: ms, Interval: 1 * ms, NoTraffic: 2 * ms, NoTrafficHealthy: 3 * ms, Unhealthy: 4 * ms, UnhealthyEdge: 5 * ms, HealthyEdge: 6 * ms,
		UnhealthyThreshold: 2, HealthyThreshold: 3, HTTP: &HTTPCheck{Path: "/"}}
}

func TestChecker(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(c *HealthCheck)
		results string // + good, - bad, r retriable, l lost
		health  string // after each: u up, d down
		waits   string // in ms
	}{
		{"well from the first", nil, "++", "uu", "11"},
		{"down from the first", nil, "l++++", "ddduu", "46611"},
		{"bad at once", nil, "+-", "ud", "14"},
		{"lost, twice", nil, "+ll", "uud", "154"},
		{"lost, now and then", nil, "+l+l+", "uuuuu", "15151"},
		{"retriable, twice", nil, "+rr", "uud", "154"},
		{"up after three, which begin anew", nil, "+-++-+++", "uddddddu", "14664661"},
		{"one will do", func(c *HealthCheck) { c.UnhealthyThreshold, c.HealthyThreshold = 1, 1 }, "+l+", "udu", "141"},
	} {
		h := health(1, func(c *CompiledCluster, _ *OutlierDetection) {
			c.Outliers, c.Check, c.MergeWindow, c.Panic = nil, asked(), 0, 0
			if tt.change != nil {
				tt.change(c.Check)
			}
		})
		require.Empty(t, h.View().up(), "%s: unhealthy until it is known", tt.name)
		got, waits, was := "", "", "d"
		for _, r := range tt.results {
			wait, c := h.Checked(h.hosts[0], map[rune]CheckResult{'+': CheckGood, '-': CheckBad, 'r': CheckRetriable, 'l': CheckLost}[r], true, 0, never)
			is := map[bool]string{true: "d", false: "u"}[h.hosts[0].Down()]
			require.Equal(t, is != was, c.Any(), tt.name)
			require.Equal(t, was == "u" && is == "d", len(c.Failed) > 0, tt.name)
			require.Equal(t, is == "u", len(h.View().up()) == 1, tt.name)
			got, waits, was = got+is, waits+string(rune('0'+wait/ms)), is
		}
		require.Equal(t, tt.health, got, tt.name)
		require.Equal(t, tt.waits, waits, tt.name)
	}
}

func TestCheckIntervals(t *testing.T) {
	k, h := &checker{HealthCheck: asked()}, &checked{failed: true}
	_, wait := k.result(h, CheckGood, false, never)
	require.Equal(t, 3*ms, wait, "healthy, and no traffic")
	_, wait = k.result(h, CheckBad, false, never)
	require.Equal(t, 2*ms, wait)
	k.Interval, k.JitterPercent, k.Jitter = 1000*ms, 20, 50*ms
	require.Equal(t, (1000+190+19)*ms, k.jittered(1000*ms, func() uint64 { return 19 }))
	require.Equal(t, 1000*ms, k.jittered(1000*ms, func() uint64 { return 100 }))
	require.Zero(t, jitter(0, never))
}

func TestCheckEndsEjection(t *testing.T) {
	h := health(2, func(c *CompiledCluster, o *OutlierDetection) {
		c.Check, c.MergeWindow = asked(), 0
		o.Consecutive5xx, o.MaxPercent = 1, 50
	})
	for i := range 2 {
		h.Checked(h.hosts[i], CheckGood, true, 0, never)
	}
	require.Equal(t, h.hosts[:1], new(h.Answered(h.hosts[0], 500, 0, never)).Failed)
	require.True(t, h.hosts[0].Ejected())
	_, c := h.Checked(h.hosts[0], CheckGood, true, 0, never)
	require.True(t, c.Any())
	require.False(t, h.hosts[0].Ejected())
	require.Equal(t, []int{0, 1}, h.View().up())
}

// The first results are all seen at once, whatever the merge window; then it holds.
func TestFirstChecksAreNotMerged(t *testing.T) {
	h := health(3, func(c *CompiledCluster, _ *OutlierDetection) {
		c.Outliers, c.Check, c.MergeWindow = nil, asked(), time.Hour
	})
	for i := range 3 {
		h.Checked(h.hosts[i], CheckGood, true, time.Second, never)
	}
	require.Len(t, h.View().up(), 3)
	h.Checked(h.hosts[0], CheckBad, true, 2*time.Second, never)
	require.Equal(t, []int{1, 2}, h.View().up())
	_, c := h.Checked(h.hosts[1], CheckBad, true, 3*time.Second, never)
	require.Equal(t, 3*time.Second+time.Hour, c.Due)
	require.Equal(t, []int{1, 2}, h.View().up())
}

func TestCheckJudges(t *testing.T) {
	c := HTTPCheck{Path: "/"}
	require.Equal(t, CheckGood, c.Judge(200))
	require.Equal(t, CheckBad, c.Judge(201))
	c.Expected, c.Retriable = []StatusRange{{201, 203}}, []StatusRange{{202, 300}, {500, 501}}
	for status, want := range map[int]CheckResult{200: CheckBad, 201: CheckGood, 202: CheckGood, 203: CheckRetriable, 300: CheckBad, 500: CheckRetriable, 501: CheckBad} {
		require.Equal(t, want, c.Judge(status), status)
	}
	require.Equal(t, "GET / HTTP/1.1\r\nhost: c\r\nuser-agent: Envoy/HC\r\n\r\n", string(c.AppendRequest(nil, "c")))
	p := TCPCheck{Receive: [][]byte{[]byte("ab"), []byte("bc")}}
	for text, want := range map[string]bool{"": false, "abc": false, "abbc": true, "xxabyybczz": true, "bcab": false} {
		require.Equal(t, want, p.Answers([]byte(text)), text)
	}
	require.True(t, (&TCPCheck{}).Answers(nil))
}

func TestChecksAreValidated(t *testing.T) {
	for want, change := range map[string]func(c *HealthCheck){
		"health_check.timeout: is 0s, want 1 ms or more":                 func(c *HealthCheck) { c.Timeout = 0 },
		"health_check: has none of http and tcp, or both":                func(c *HealthCheck) { c.TCP = &TCPCheck{} },
		"healthy_threshold 0, want 1 or more":                            func(c *HealthCheck) { c.HealthyThreshold = 0 },
		"want a path that begins with / and neither with spaces":         func(c *HealthCheck) { c.HTTP.Path = "/a b" },
		"http.statuses[0]: is [99, 200), want a range within [100, 600)": func(c *HealthCheck) { c.HTTP.Expected = []StatusRange{{99, 200}} },
		"interval_jitter: is not 0 or more":                              func(c *HealthCheck) { c.Jitter = -1 },
	} {
		cfg := config()
		cfg.Clusters[0].Check = asked()
		change(cfg.Clusters[0].Check)
		require.ErrorContains(t, cfg.Validate(), want)
	}
	cfg := config()
	cfg.Clusters[0].Check = asked()
	require.NoError(t, cfg.Validate())
	cfg.Clusters[0].OriginalDst, cfg.Clusters[0].Endpoints = true, nil
	require.ErrorContains(t, cfg.Validate(), "health_check: is for endpoints, and there are none")
}
