package report

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
)

var update = flag.Bool("update", false, "rewrite the files under testdata")

// The figures below are SYNTHETIC: made up from formulas so that tests have
// something to draw. They were measured nowhere, and every manifest says so.

func syntheticManifest(experiment string) bench.Manifest {
	return bench.Manifest{
		Started: "2001-02-03T04:05:06Z", Command: []string{"meshnic", "bench", experiment, "--synthetic"},
		Seed: 7, Version: "0.0.0-synthetic", Kernel: "0.0.0-synthetic", CPU: "SYNTHETIC figures, no CPU took part",
		TCPCongestion: "cubic", Cores: 2, MemoryMiB: 1024, Load1: 0.25, Root: true, Repeats: 5,
		Binaries: map[string]bench.Binary{
			"envoy": {Path: "env/bin/envoy", Version: "1.40.0", SHA256: "00ff" + "00112233445566778899aabbccddeeff00112233445566778899aabbccdd"},
			"curl":  {Path: "/usr/bin/curl", Version: "8.0.0", SHA256: "11ff" + "00112233445566778899aabbccddeeff00112233445566778899aabbccdd"},
		},
		Files:     map[string]string{"envoy-productpage.json": "22ff" + "00112233445566778899aabbccddeeff00112233445566778899aabbccdd"},
		Placement: map[string]string{"generator": "0", "productpage": "0,1", "nic": "1"},
		Notes:     []string{"SYNTHETIC: made up for tests, measured nowhere"},
	}
}

// syntheticSystem has a long-tailed distribution around p50 (us); wobble moves
// the repeats apart.
func syntheticSystem(name string, conns, hops int, p50, wobble float64) bench.System {
	q := func(share float64) float64 { // log-logistic, heavier than a normal tail
		return math.Round(100*p50*math.Pow(share/(1-share), 0.11)) / 100
	}
	s := bench.System{
		Name: name, Connections: conns, Hops: hops, N: uint64(4000 * conns), RPS: math.Round(float64(conns) * 1e6 / p50),
		WallUS: &bench.Quantiles{P50: q(.5), P90: q(.9), P99: q(.99), P999: q(.999), Max: q(.99999)},
		Spread: &bench.Spread{P50Min: q(.5) * (1 - wobble), P50Max: q(.5) * (1 + wobble), P90Min: q(.9) * (1 - wobble), P90Max: q(.9) * (1 + 1.5*wobble)},
		CPU:    &bench.CPU{Generator: 12, Services: p50 / 4},
	}
	for _, share := range []float64{.001, .01, .05, .1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .99, .999, .99999} {
		s.CDF = append(s.CDF, bench.Point{WallUS: q(share), Share: share})
	}
	s.CDF[len(s.CDF)-1].Share = 1
	return s
}

func syntheticAbsent(name, reason string) bench.System {
	return bench.System{Name: name, Absent: &reason}
}

const (
	syntheticRule       = "SYNTHETIC rule"
	syntheticUnmodelled = "SYNTHETIC reason"
	clusterBase         = "k8s_without_istio"
)

// withAdded adds what each row adds, of the medians.
func withAdded(d bench.Document) bench.Document {
	v := newView(d)
	for i := range d.Systems {
		if s := &d.Systems[i]; s.WallUS != nil && s.Hops > 0 {
			s.Added = v.at(s.Name, s.Connections, s.Hops).Added
		}
	}
	return d
}

// withCard adds the times of a card to a system through a NIC; like is the same
// path without one.
func withCard(x *bench.System, like bench.System, perFrame, frames float64) {
	if perFrame == 0 {
		x.Unmodelled = syntheticUnmodelled
	}
	x.EmuUS = &bench.Emu{P50: x.WallUS.P50 - like.WallUS.P50, P90: x.WallUS.P90 - like.WallUS.P90, To: like.Name}
	if perFrame == 0 {
		return
	}
	m := &bench.ModelNS{P50: perFrame, PerRequest: perFrame * frames, Frames: frames, Share: 1}
	x.ModelNS = m
	x.ProjectedUS = &bench.Projected{P50: like.WallUS.P50 + m.PerRequest/1e3, Low: like.Spread.P50Min, High: like.Spread.P50Max + m.PerRequest/1e3, To: like.Name, Rule: syntheticRule}
}

// syntheticCheck has a card's account that the engines agree on.
func syntheticCheck(system string, requests uint64) *bench.ModelCheck {
	m := &bench.ModelCheck{System: system, Pipeline: "passthrough-100g", Capture: "synthetic-nic.pcapng", Requests: requests, Frames: 10 * requests,
		Live: 2200 * float64(requests), Tick: 2200 * float64(requests), Maxplus: 2200 * float64(requests), Agree: true, Remainder: 20}
	for i, name := range []string{"source.in0", "source.in1", "mac_rx@0", "rx_cross@0", "mac_rx@1", "rx_cross@1", "parser", "eswitch", "mac_tx@0", "mac_tx@1"} {
		m.Stages = append(m.Stages, bench.StageTime{Stage: name, Pass: 100 + 10*float64(i), Queue: 20, StoreForward: 5 * float64(i), Blocked: 30})
	}
	return m
}

func withRatios(d bench.Document) bench.Document {
	for i := range d.Systems {
		s := &d.Systems[i]
		for _, b := range d.Systems {
			if s.WallUS != nil && b.Name == d.Systems[0].Name && b.Connections == s.Connections {
				s.Ratio = &bench.Ratio{P50: s.WallUS.P50 / b.WallUS.P50, P90: s.WallUS.P90 / b.WallUS.P90}
			}
			if s.WallUS != nil && strings.HasPrefix(s.Name, "k8s_") && b.Name == clusterBase && b.Connections == s.Connections {
				s.Baseline, s.ToBaseline = b.Name, &bench.Ratio{P50: s.WallUS.P50 / b.WallUS.P50, P90: s.WallUS.P90 / b.WallUS.P90}
			}
		}
	}
	return d
}

func syntheticBookinfo(work string, pageUS float64) bench.Document {
	d := bench.Document{Schema: bench.Schema, Experiment: "bookinfo", Work: work, Manifest: syntheticManifest("bookinfo")}
	for _, s := range []struct {
		name             string
		hops             int
		addUS, load, nic float64
	}{
		{"without_envoy", 0, 0, 1, 0}, {balancedBase, 0, 30, .8, 0},
		{"sidecar_inbound", 4, 260, .86, 0}, {"sidecar", 7, 430, .9, 0},
		{"envoy_inbound", 4, 1150, .95, 0}, {"envoy", 7, 2300, 1.1, 0},
		{"nic_passthrough", 4, 90, 1.01, 24}, {"nic_offload", 7, 150, .84, 30},
		{clusterBase, 0, 280, .84, 0}, {"k8s_sidecar", 7, 900, .9, 0}, {"k8s_with_istio", 7, 3100, 1.1, 0}, {"k8s_nic_offload", 7, 420, .84, 32},
	} {
		if s.name == "k8s_with_istio" && work == "native" {
			d.Systems = append(d.Systems, syntheticAbsent(s.name, "SYNTHETIC reason: without root"))
			continue
		}
		for _, c := range []int{1, 2, 4, 8, 16} {
			x := syntheticSystem(s.name, c, s.hops, (pageUS*s.load+s.addUS)*math.Max(1, float64(c)/1.9), .04+.01*float64(c%3))
			x.CPU.Proxy, x.CPU.NIC, x.CPU.Services = s.addUS*.7, s.nic, pageUS*s.load*.95
			if s.nic > 0 {
				x.CPU.Proxy = 0
				for _, like := range d.Systems {
					want := balancedBase
					if strings.HasPrefix(s.name, "k8s_") {
						want = clusterBase
					}
					if like.Name == want && like.Connections == c {
						withCard(&x, like, map[string]float64{"nic_passthrough": 412}[s.name], 60)
					}
				}
			}
			d.Systems = append(d.Systems, x)
		}
	}
	d.ModelCheck = syntheticCheck("nic_passthrough", 15)
	return withRatios(d)
}

func syntheticHop() bench.Document {
	d := bench.Document{Schema: bench.Schema, Experiment: "hop", Manifest: syntheticManifest("hop")}
	d.Warnings = []string{"SYNTHETIC warning: the generator used 0.97 of its core at 64 connections"}
	for _, c := range []int{1, 8, 64} {
		k := math.Max(1, float64(c)/3)
		direct := len(d.Systems)
		d.Systems = append(d.Systems, syntheticSystem("direct", c, 0, 40*k, .05))
		for _, s := range []struct {
			name  string
			addUS float64
		}{{"nic_passthrough", 17}, {"nic_offload", 21}, {"sidecar", 60}, {"envoy", 190}, {"haproxy", 78}} {
			for hops := 1; hops <= 2; hops++ {
				x := syntheticSystem(s.name, c, hops, (40+s.addUS*float64(hops))*k, .06)
				x.CPU.Proxy = s.addUS * float64(hops) * .8
				switch s.name {
				case "nic_passthrough":
					x.CPU.Proxy, x.CPU.NIC = 0, 11
					withCard(&x, d.Systems[direct], 398, 4)
				case "nic_offload":
					x.CPU.Proxy, x.CPU.NIC = 0, 13
					withCard(&x, d.Systems[direct], 0, 0)
				}
				if hops == 1 {
					x.Conditions = "SYNTHETIC conditions of " + s.name
				}
				d.Systems = append(d.Systems, x)
			}
		}
	}
	d.Systems = append(d.Systems, syntheticAbsent("nginx", "not installed; apt-get install nginx"))
	return withRatios(d)
}

func syntheticPaths(experiment string, baseUS, stepUS float64) bench.Document {
	d := bench.Document{Schema: bench.Schema, Experiment: experiment, Manifest: syntheticManifest(experiment)}
	names := []string{"direct", "linux_bridge", "nic_null", "nic_passthrough_xdp", "nic_passthrough_tap", "nic_passthrough_packet"}
	if experiment == "link" {
		names = append(names, "haproxy_tcp")
	}
	for i, n := range names {
		x := syntheticSystem(n, 1, min(i, 1), baseUS+stepUS*float64(i), .03)
		switch {
		case n == "nic_null":
			withCard(&x, d.Systems[0], 0, 0)
		case i > 1 && n != "haproxy_tcp":
			withCard(&x, d.Systems[0], 300+10*float64(i), 4)
		}
		if experiment == "link" {
			x.Gbps, x.CPU = []float64{16.2, 14.0, 3.4, 3.1, 11.6, 9.2, 6.5}[i], nil
		}
		d.Systems = append(d.Systems, x)
	}
	if experiment == "curl" {
		d.ModelCheck = syntheticCheck("nic_passthrough_xdp", 20)
	}
	return withRatios(d)
}

// syntheticRun is a whole run folder, by file name.
func syntheticRun() map[string]bench.Document {
	return map[string]bench.Document{
		"bookinfo-polyglot.json": syntheticBookinfo("polyglot", 6600),
		"bookinfo-native.json":   syntheticBookinfo("native", 900),
		"hop.json":               withAdded(syntheticHop()),
		"curl.json":              syntheticPaths("curl", 1180, 9),
		"link.json":              syntheticPaths("link", 14, 5),
	}
}

func loadSynthetic(t testing.TB) Run {
	t.Helper()
	run, err := Load(filepath.Join("testdata", "synthetic"))
	require.NoError(t, err)
	require.Len(t, run.Documents, 5)
	return run
}

// The run folder under testdata is what the formulas above give.
func TestSyntheticRunIsUpToDate(t *testing.T) {
	for name, doc := range syntheticRun() {
		data, err := json.MarshalIndent(doc, "", " ")
		require.NoError(t, err)
		golden(t, filepath.Join("synthetic", name), append(data, '\n'))
	}
}

// golden compares got with a file under testdata, or writes it with -update.
func golden(t testing.TB, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run go test ./bench/report -update and review the diff")
	require.Equal(t, string(want), string(got), "%s differs; run go test ./bench/report -update and review the diff", name)
}
