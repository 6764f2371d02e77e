package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
)

// benchJSON runs one experiment and returns its document twice: as it is
// written, for the names of the keys, and decoded.
func benchJSON(t *testing.T, args ...string) (raw map[string]any, doc bench.Document) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	code, stdout, stderr := result(t, meshnic(t, append([]string{"bench", "-o", "json", "--quick", "--dir", dir}, args...)...))
	require.Zero(t, code, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &raw))
	require.NoError(t, json.Unmarshal([]byte(stdout), &doc))
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	require.Equal(t, dir, lines[len(lines)-1], "the run folder's name is the last line")
	require.FileExists(t, filepath.Join(dir, "report.html"))
	var m bench.RunManifest
	text, err := os.ReadFile(filepath.Join(dir, bench.RunManifestFile))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &m))
	require.Equal(t, doc.Manifest.Binaries, m.Binaries)
	for name := range doc.Manifest.Files {
		require.Equal(t, doc.Manifest.Files[name], m.Files[name], name)
	}
	require.NotEmpty(t, m.Files["report.html"])
	for name := range doc.Manifest.Files {
		require.FileExists(t, filepath.Join(dir, name), "every configuration file is attached")
	}
	return raw, doc
}

// The output contract, on real traffic.
func TestBenchHopContract(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	raw, doc := benchJSON(t, "hop", "--systems", "sidecar,nic_passthrough,nic_offload,envoy", "-c", "1,4", "--envoy", "/no/such/envoy")
	require.Equal(t, "meshnic.bench/1", raw["schema"])
	require.Equal(t, "hop", raw["experiment"])
	require.NotEmpty(t, doc.Manifest.Kernel)
	require.NotEmpty(t, doc.Manifest.Placement)
	require.Contains(t, doc.Manifest.Binaries, "meshnic")
	require.Equal(t, "direct", doc.Systems[0].Name, "the baseline is the first")

	seen, bulk := map[string]int{}, map[string]bool{}
	for i, s := range doc.Systems {
		row := raw["systems"].([]any)[i].(map[string]any)
		for _, key := range []string{"name", "connections", "hops", "n", "errors", "wall_us", "ratio", "cpu_us_per_request", "model_ns", "absent"} {
			require.Contains(t, row, key, s.Name)
		}
		seen[s.Name]++
		switch s.Name {
		case "envoy":
			require.NotNil(t, s.Absent, s.Name)
			require.Nil(t, s.WallUS, "what is absent has no figures")
			continue
		}
		require.Nil(t, s.Absent, s.Name)
		require.NotZero(t, s.N, s.Name)
		require.Zero(t, s.Errors, s.Name)
		q := s.WallUS
		require.True(t, 0 < q.P50 && q.P50 <= q.P90 && q.P90 <= q.P99 && q.P99 <= q.P999 && q.P999 <= q.Max, "%s: %+v", s.Name, q)
		require.NotZero(t, s.CPU.Generator)
		if s.Name == "direct" {
			require.Equal(t, 1.0, s.Ratio.P50)
		}
		if s.Name != "nic_offload" {
			require.Equal(t, s.Name == "nic_passthrough", s.ModelNS != nil, "%s: model time where a card is in the path", s.Name)
		}
		require.Equal(t, s.Name == "nic_offload" && s.ModelNS == nil, s.Unmodelled != "", "%s: why there is no model time where a NIC is", s.Name)
		require.Equal(t, strings.HasPrefix(s.Name, "nic_"), s.CPU.NIC > 0, "%s: CPU of a NIC where one is", s.Name)
		require.Equal(t, strings.HasPrefix(s.Name, "nic_"), s.EmuUS != nil, s.Name)
		require.Equal(t, s.Hops > 0, s.Added != nil, s.Name)
		if s.Name == "sidecar" {
			require.NotZero(t, s.CPU.Proxy)
		}
		memory := (s.Name == "sidecar" || s.Name == "nic_offload") && s.Hops == 1 && s.Connections == 1
		if s.Gbps > 0 {
			require.True(t, s.Connections == 1 && s.Hops < 2, s.Name)
			bulk[s.Name] = true
		}
		require.Equal(t, memory, s.ProxyKiB != nil && s.ProxyKiB.Idle1000 > 4096, "%s: memory with idle connections, once a proxy", s.Name)
	}
	require.Equal(t, map[string]int{"direct": 2, "nic_passthrough": 2, "nic_offload": 4, "sidecar": 4, "envoy": 4, "floor": 2}, seen)
	m := doc.ModelCheck
	require.True(t, m.Agree, "the live NIC and both engines, of the proxy's card: %+v", m)
	require.Equal(t, "nic_offload", m.System)
	require.Greater(t, m.PerSecond, 1e6, "requests that the card carries a second, whatever the machine")
	require.NotEmpty(t, bulk, "bulk responses, where one came within the window")
	require.Subset(t, map[string]bool{"direct": true, "nic_offload": true, "sidecar": true}, bulk)
	require.NotEmpty(t, doc.Manifest.Files["hop/nic_offload.yaml"])
	require.NotEmpty(t, doc.Manifest.Files["hop/bulk/nic_offload.yaml"])
}

// With --access-log every proxy has one, and says so.
func TestBenchHopAccessLogs(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	_, doc := benchJSON(t, "hop", "--access-log", "--systems", "sidecar,nic_offload,nic_offload_untimed,haproxy,nginx", "-c", "1")
	for _, s := range doc.Systems {
		if s.Hops > 0 && s.Absent == nil {
			require.NotZero(t, s.N, s.Name)
			require.Zero(t, s.Errors, s.Name)
			require.NotContains(t, s.Conditions, "no access log", s.Name)
		}
		require.Equal(t, s.Name == "nic_offload_untimed", s.Unmodelled == "it is not counted", s.Name)
	}
}

// curl through the NIC's proxy has the same file as from the server.
func TestBenchCurlThroughTheNICsProxy(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	for _, program := range []string{"curl", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	_, doc := benchJSON(t, "curl", "--systems", "nic_offload")
	require.Equal(t, []string{"direct", "nic_offload"}, []string{doc.Systems[0].Name, doc.Systems[1].Name})
	for _, s := range doc.Systems {
		require.Nil(t, s.Absent, s.Name)
		require.NotZero(t, s.N, s.Name)
		require.Zero(t, s.Errors, s.Name)
	}
	require.NotZero(t, doc.Systems[1].CPU.NIC)
	require.NotEmpty(t, doc.Manifest.Files["curl/nic_offload.yaml"])
}

// A page of Bookinfo is whole behind every system that is ours.
func TestBenchBookinfoContract(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	var raw map[string]any
	var doc bench.Document
	for _, d := range []string{"400ms", "3s", "10s"} { // longer where no page comes in that time
		raw, doc = benchJSON(t, "bookinfo", "--work", "native", "--systems", "without_envoy_balanced,sidecar_inbound,sidecar,nic_passthrough,nic_offload,k8s_sidecar,k8s_nic_offload", "-c", "2", "--duration", d)
		if !slices.ContainsFunc(doc.Systems, func(s bench.System) bool {
			return s.Absent != nil && strings.Contains(*s.Absent, "no request was answered")
		}) {
			break
		}
	}
	require.Equal(t, "native", raw["work"])
	require.Equal(t, "without_envoy", doc.Systems[0].Name)
	measured := 0
	for _, s := range doc.Systems {
		if s.Absent != nil {
			require.Equal(t, "k8s_sidecar", s.Name, *s.Absent)
			require.Contains(t, *s.Absent, "without root")
			continue
		}
		measured++
		require.Equal(t, strings.HasPrefix(s.Name, "k8s_"), s.ToBaseline != nil, s.Name)
		if s.Name == "k8s_without_istio" { // which runs though it was not asked for
			require.Equal(t, 1.0, s.ToBaseline.P90)
			require.NotEqual(t, 1.0, s.Ratio.P90)
		}
		require.Equal(t, strings.Contains(s.Name, "sidecar"), s.CPU.Proxy > 0, s.Name)
		require.NotZero(t, s.N, s.Name)
		require.Zero(t, s.Errors, s.Name)
	}
	want := 10
	if netns.Entered() == "unprivileged" {
		want = 9
	} else {
		require.NotEmpty(t, doc.Manifest.Files["bookinfo/istio/reviews-v1.yaml"], "of both proxies")
	}
	require.Equal(t, want, measured)
	require.NotEmpty(t, doc.Manifest.Files["bookinfo/nic_offload/nic.yaml"])
	require.NotEmpty(t, doc.Manifest.Files["bookinfo/istio/nic.yaml"])
}

// Bookinfo through a NIC that loses, doubles, delays and reorders frames: every
// page is whole all the same. TCP sees to it; the NIC must not be in its way.
func TestSoakWithFaults(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	for _, system := range []string{"nic_passthrough", "nic_offload"} {
		t.Run(system, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			code, stdout, stderr := result(t, meshnic(t, "bench", "soak", "--system", system, "--duration", "5s", "--work", "native", "--fault", "loss=1%,dup=1%,reorder=1%", "--dir", dir))
			require.Zero(t, code, "%s\n%s", stdout, stderr)
			var res bench.SoakResult
			require.NoError(t, json.Unmarshal([]byte(stdout), &res))
			require.Equal(t, bench.SoakSchema, res.Schema)
			require.NotZero(t, res.N)
			require.Zero(t, res.Errors.Total())
			require.Contains(t, strings.Join(res.Manifest.Notes, "\n"), "services wait 30s for each other")
			require.NotZero(t, res.NIC.Counters["tcp.retransmissions"]+res.NIC.Counters["proxy.splice.held_again"], "frames were lost, and sent again")
			if system == "nic_offload" {
				require.Greater(t, res.Requests, 3*res.N, "a page has three or four")
			}
		})
	}
}
