package bench

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/nic"
)

func noProgress(int, int) {}

// answered is a result with one latency, in microseconds, n times.
func answered(us float64, n int) *load.Result {
	h := load.NewHist()
	for range n {
		h.Record(int64(us * 1e3))
	}
	return &load.Result{Hist: h, N: h.N(), WallUS: h.Quantiles(), RPS: 1e6 / us}
}

func TestPlanInterleavesAndRotates(t *testing.T) {
	cells := []cell{{name: "a", connections: 1}, {name: "b", connections: 1}, {name: "a", connections: 8}, {name: "b", connections: 8}}
	require.Equal(t, []int{0, 1, 2, 3, 1, 0, 3, 2}, plan(cells, 2), "systems in turn at each connection count, rotated each repeat")
	steps := plan(cells, 5)
	for i := range cells {
		n := 0
		for _, s := range steps {
			if s == i {
				n++
			}
		}
		require.Equal(t, 5, n)
	}
}

// The machine gets slower with every repeat; the ratio is taken within each.
func TestRatiosAreTakenWithinARepeat(t *testing.T) {
	drift := map[string]float64{}
	run := func(name string, us float64) cell {
		return cell{name: name, connections: 1, measure: func(context.Context) (sample, error) {
			drift[name]++
			return sample{result: answered(us*drift[name], 10)}, nil
		}}
	}
	rows, err := runCells(t.Context(), []cell{run("base", 100), run("twice", 200)}, 3, noProgress)
	require.NoError(t, err)
	require.InDelta(t, 2, rows[1].Ratio.P50, 0.01)
	require.InDelta(t, 1, rows[0].Ratio.P50, 1e-9)
	require.InDelta(t, 400, rows[1].WallUS.P50, 1, "the median of 200, 400 and 600")
	require.InDelta(t, 200, rows[1].Spread.P50Min, 1)
	require.InDelta(t, 600, rows[1].Spread.P50Max, 1)
	require.EqualValues(t, 30, rows[1].N)
	require.NotEmpty(t, rows[1].CDF)
	require.InDelta(t, 1, rows[1].CDF[len(rows[1].CDF)-1].Share, 1e-9)
}

func TestAbsentSystemsKeepTheirRowAndReason(t *testing.T) {
	rows, err := runCells(t.Context(), []cell{
		{name: "base", connections: 1, measure: func(context.Context) (sample, error) { return sample{result: answered(1, 1)}, nil }},
		{name: "envoy", connections: 1, absent: "no envoy"},
	}, 1, noProgress)
	require.NoError(t, err)
	require.Equal(t, "no envoy", *rows[1].Absent)
	require.Nil(t, rows[1].WallUS)
	require.Nil(t, rows[1].Ratio)
}

func TestASystemThatAnswersNothingIsAbsentWithItsErrors(t *testing.T) {
	bad := &load.Result{Hist: load.NewHist(), Errors: load.Errors{Timeout: 3}}
	rows, err := runCells(t.Context(), []cell{{name: "base", connections: 1, measure: func(context.Context) (sample, error) { return sample{result: bad}, nil }}}, 2, noProgress)
	require.NoError(t, err)
	require.NotNil(t, rows[0].Absent)
	require.EqualValues(t, 6, rows[0].Errors)
}

func TestAFailureNamesItsCell(t *testing.T) {
	_, err := runCells(t.Context(), []cell{{name: "envoy", connections: 8, measure: func(context.Context) (sample, error) { return sample{}, errors.New("boom") }}}, 1, noProgress)
	require.ErrorContains(t, err, "envoy at 8 connections: boom")
}

func TestInterruptedRunSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupted")
	cancel(interrupt)
	_, err := runCells(ctx, []cell{{name: "a", connections: 1}}, 1, noProgress)
	require.ErrorIs(t, err, interrupt)
}

func TestMedian(t *testing.T) {
	v := []float64{9, 1, 5}
	require.Equal(t, 5.0, median(v))
	require.Equal(t, []float64{9, 1, 5}, v, "the argument is left alone")
	require.Equal(t, 3.0, median([]float64{5, 1}))
	require.Zero(t, median(nil))
}

func TestDistrust(t *testing.T) {
	steady := System{Name: "base", N: 1000, Spread: &Spread{P50Min: 1, P50Max: 1.5}}
	jumpy := System{Name: "base", N: 1000, Spread: &Spread{P50Min: 1, P50Max: 5}}
	failing := System{Name: "x", Connections: 8, N: 90, Errors: 10}
	require.Empty(t, distrust(Document{Systems: []System{steady}}, false))
	require.Len(t, distrust(Document{Systems: []System{jumpy}}, false), 1)
	require.Empty(t, distrust(Document{Systems: []System{jumpy}}, true), "a quick run is too short for that")
	require.ErrorContains(t, errors.New(distrust(Document{Systems: []System{steady, failing}}, true)[0]), "x at 8 connections: 10 of 100 requests failed")
}

func TestSNMPField(t *testing.T) {
	text := "Ip: Forwarding DefaultTTL\nIp: 2 64\nTcp: RtoAlgorithm InErrs InCsumErrors\nTcp: 1 5 7\n"
	require.EqualValues(t, 7, snmpField(text, "Tcp", "InCsumErrors"))
	require.EqualValues(t, 64, snmpField(text, "Ip", "DefaultTTL"))
	require.Zero(t, snmpField(text, "Udp", "InErrors"))
}

func TestIperfGbps(t *testing.T) {
	v, err := iperfGbps([]byte(`{"end":{"sum_received":{"bits_per_second":2.5e9}}}`))
	require.NoError(t, err)
	require.Equal(t, 2.5, v)
	_, err = iperfGbps([]byte(`{"error":"unable to connect to server"}`))
	require.ErrorContains(t, err, "unable to connect")
	_, err = iperfGbps([]byte(`nonsense`))
	require.Error(t, err)
}

// Every proxy of a topology is valid, and every name that a service calls leads
// to something that listens.
func TestTopologiesHoldTogether(t *testing.T) {
	for _, top := range topologies {
		t.Run(top.name, func(t *testing.T) {
			listens := map[string]bool{}
			hosts := top.hosts()
			for _, h := range hosts {
				if h.Name == "client" {
					continue
				}
				listens[at(h.IP)] = true
				if top.program == "" {
					continue
				}
				cfg := top.mesh(h.Name)
				require.NoError(t, cfg.Validate(), h.Name)
				require.Equal(t, at(h.IP), cfg.Listeners[0].Address)
			}
			if top.outbound {
				listens[at(outboundIP)] = true
			}
			if top.nic == nic.Offload {
				for _, l := range nicMesh().Listeners {
					listens[l.Address] = true
				}
			}
			for _, h := range hosts {
				for _, v := range h.Balance {
					listens[v.Addr] = true
					for _, b := range v.Backends {
						require.True(t, listens[b], b)
					}
				}
			}
			for _, h := range hosts {
				for name, ip := range h.Hosts {
					require.True(t, listens[at(ip)], "%s in %s is %s, where nothing listens", name, h.Name, ip)
				}
			}
		})
	}
}

// What a proxy or a NIC does is said in every experiment that has it.
func TestConditionsOfEverySystem(t *testing.T) {
	conditions := (&Run{}).conditions
	for _, top := range topologies {
		require.NotEmpty(t, conditions("bookinfo", top.name), top.name)
	}
	none := []string{"direct", "floor"}
	for _, name := range systemNames {
		of := conditions("hop", name) + conditions("bookinfo", name)
		require.Equal(t, slices.Contains(none, name), of == "", name)
	}
	for key := range special {
		require.Contains(t, systemNames, key[1])
	}
	for name := range usual {
		require.Contains(t, systemNames, name)
	}
	logging := &Run{Options: Options{AccessLog: true}}
	for _, name := range []string{"nic_offload", "sidecar", "envoy", "haproxy", "nginx"} {
		require.Contains(t, conditions("hop", name), "no access log")
		require.NotContains(t, logging.conditions("hop", name), "no access log")
		require.Contains(t, logging.conditions("hop", name), "a line a request")
	}
	require.NotContains(t, haproxyConf("a:1", "b:1", false), "log")
	require.Contains(t, haproxyConf("a:1", "b:1", true), "option httplog")
	require.Contains(t, nginxConf("/d", "", "a:1", "b:1"), "access_log off;")
	require.Contains(t, nginxConf("/d", "/d/lines", "a:1", "b:1"), "access_log /d/lines;")
}

func TestSystemNames(t *testing.T) {
	require.NoError(t, CheckSystems([]string{"envoy", "nic_passthrough"}))
	require.ErrorContains(t, CheckSystems([]string{"envy"}), `system "envy"`)
	for _, top := range topologies {
		require.True(t, slices.Contains(systemNames, top.name), top.name)
	}
}
