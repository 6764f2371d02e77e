//go:build linux

package sidecar

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/conformance"
	"github.com/meshnic/meshnic/proxy/envoyconf"
)

// TestConformance holds every case with our sidecar and with the real Envoy, one
// process each on one file, and compares what was seen with the case's file. With -short
// our sidecar alone.
func TestConformance(t *testing.T) {
	all := conformance.Load(t, filepath.Join("..", "conformance", "testdata"))
	require.GreaterOrEqual(t, len(all), 350)
	path, why := findEnvoy()
	switch {
	case testing.Short():
		path = ""
	case path == "":
		require.False(t, conformance.Updating() || os.Getenv("MESHNIC_REQUIRE_NET") == "1", why)
		t.Log(why)
	}
	n := &conformance.Network{
		Dial:   func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) },
		Listen: func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
		Hole:   blackhole(t), Dead: "127.0.0.1",
	}
	type seen = map[conformance.Proxy][]string
	both := func(some []conformance.Case, _ time.Duration) []seen {
		out := make([]seen, len(some))
		ours, known := withOurs(t, some, n)
		for i := range some {
			out[i] = seen{conformance.Sidecar: ours[i]}
		}
		if path != "" {
			for i, s := range withEnvoy(t, path, some, n, known) {
				out[i][conformance.Envoy] = s
			}
		}
		return out
	}
	agree := func(c conformance.Case, s seen) bool {
		return conformance.Updating() || c.Agrees(conformance.Sidecar, s[conformance.Sidecar]) && (path == "" || c.Agrees(conformance.Envoy, s[conformance.Envoy]))
	}
	for i, s := range conformance.Again(all, both, agree) {
		t.Run(all[i].Name, func(t *testing.T) { all[i].Compare(t, s) })
	}
}

// withOurs holds all cases with our sidecar. known are the counters that it has.
func withOurs(t *testing.T, all []conformance.Case, n *conformance.Network) (seen [][]string, known map[string]uint64) {
	w := conformance.New(t, all, n, slices.Repeat([]string{"127.0.0.1:0"}, len(all)), reserve(t, conformance.Behind(t, all)), "127.0.0.1:0")
	cfg, err := envoyconf.Read(w.File, "cases.yaml")
	require.NoError(t, err)
	s := start(t, cfg, Options{Concurrency: 1, LogFlush: 20 * time.Millisecond})
	seen = w.Play(func(i int) string { return s.Addrs()[i].String() })
	known = conformance.Settled(t, func() map[string]uint64 {
		out := map[string]uint64{}
		for _, st := range s.Stats() {
			out[st.Name] = st.Value
		}
		return out
	})
	w.Fill(t, seen, known, known)
	return seen, known
}

// withEnvoy holds them with the real Envoy.
func withEnvoy(t *testing.T, path string, all []conformance.Case, n *conformance.Network, known map[string]uint64) [][]string {
	addrs := reserve(t, 1+len(all)+conformance.Behind(t, all))
	admin, addrs := addrs[0], addrs[1:]
	w := conformance.New(t, all, n, addrs[:len(all)], addrs[len(all):], admin)
	runEnvoy(t, path, w.File, admin, "--file-flush-interval-msec", "20")
	ready(t, admin)
	seen := w.Play(func(i int) string { return addrs[i] })
	w.Fill(t, seen, conformance.Settled(t, func() map[string]uint64 { return adminStats(t, admin) }), known)
	return seen
}

// ready waits until the proxy says it is.
func ready(t *testing.T, admin string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get("http://" + admin + "/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		require.True(t, time.Now().Before(end), "Envoy does not get ready: %v", err)
	}
}

var randomID = regexp.MustCompile(`x-request-id: [0-9a-f-]{36}`)

// upstreams opens n listeners.
func upstreams(t testing.TB, n int) (lns []net.Listener) {
	t.Helper()
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		lns = append(lns, ln)
	}
	return lns
}
