//go:build linux

package sidecar

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/envoyconf"
)

// TestConformance holds every case with our sidecar and with the real Envoy, one
// process each on one file, and compares what was seen with the case's file.
func TestConformance(t *testing.T) {
	all := testcases(t)
	require.GreaterOrEqual(t, len(all), 350)
	path, why := findEnvoy()
	update := os.Getenv("MESHNIC_UPDATE") == "1"
	if path == "" {
		require.False(t, update || os.Getenv("MESHNIC_REQUIRE_NET") == "1", why)
		t.Log(why)
	}
	ours := withOurs(t, all)
	var envoys [][]string
	if path != "" {
		envoys = withEnvoy(t, path, all)
	}
	for i := range all {
		c := &all[i]
		t.Run(c.name, func(t *testing.T) {
			var theirs []string
			if envoys != nil {
				theirs = envoys[i]
			}
			got := c.seen(ours[i], theirs)
			if update {
				require.NoError(t, os.WriteFile(c.path, []byte(got.String()), 0o644))
			} else {
				for j, s := range got.steps {
					require.Equal(t, c.steps[j].want, s.want, "step %d, %s", j+1, s.cmd)
					require.Equal(t, c.steps[j].envoy, s.envoy, "step %d, %s: Envoy's", j+1, s.cmd)
				}
				require.Equal(t, c.String(), got.String())
			}
			two := slices.ContainsFunc(got.steps, func(s step) bool { return s.two })
			require.False(t, two && !c.differs, "ours is not Envoy's: mend it, or say why in a line \"# differs: REASON\"")
			require.False(t, c.differs && !two && path != "", "the difference is gone: drop the line that says so")
		})
	}
}

// withOurs holds all cases with our sidecar.
func withOurs(t *testing.T, all []testcase) [][]string {
	logs := t.TempDir()
	w := newWorld(t, all, slices.Repeat([]string{"127.0.0.1:0"}, len(all)), "127.0.0.1:0", blackhole(t), logs)
	cfg, err := envoyconf.Read(w.file, "cases.yaml")
	require.NoError(t, err)
	s := start(t, cfg, Options{Concurrency: 1, LogFlush: 20 * time.Millisecond})
	seen := playAll(all, func(i int) string { return s.Addrs()[i].String() }, w.ports)
	counts := settled(t, func() map[string]uint64 {
		out := map[string]uint64{}
		for _, st := range s.Stats() {
			out[st.Name] = st.Value
		}
		return out
	})
	fill(all, seen, counts, counts)
	fillLogs(t, all, seen, logs)
	known = counts
	return seen
}

// known are the counters that we have.
var known map[string]uint64

// withEnvoy holds them with the real Envoy.
func withEnvoy(t *testing.T, path string, all []testcase) [][]string {
	addrs := reserve(t, len(all)+1)
	admin := addrs[len(all)]
	logs := t.TempDir()
	w := newWorld(t, all, addrs, admin, blackhole(t), logs)
	runEnvoy(t, path, w.file, admin, "--file-flush-interval-msec", "20")
	ready(t, admin)
	seen := playAll(all, func(i int) string { return addrs[i] }, w.ports)
	fill(all, seen, settled(t, func() map[string]uint64 { return adminStats(t, admin) }), known)
	fillLogs(t, all, seen, logs)
	return seen
}

// ready waits until the proxy says it is.
func ready(t *testing.T, admin string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
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

// playAll holds all cases, many at a time: most of them only wait.
func playAll(all []testcase, addr func(i int) string, ports [][]port) [][]string {
	seen := make([][]string, len(all))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range all {
		slots <- struct{}{}
		wg.Go(func() {
			seen[i] = all[i].play(addr(i), ports[i])
			for j := range seen[i] {
				seen[i][j] = strings.ReplaceAll(seen[i][j], prefix(i)+"_", "")
			}
			<-slots
		})
	}
	wg.Wait()
	return seen
}

// settled returns the counters once nothing is under way.
func settled(t *testing.T, read func() map[string]uint64) map[string]uint64 {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		stats, busy := read(), ""
		for name, v := range stats {
			if v != 0 && (strings.HasSuffix(name, ".downstream_cx_active") && strings.HasPrefix(name, "http.c") || strings.HasSuffix(name, ".upstream_rq_active")) {
				busy = name
			}
		}
		if busy == "" {
			return stats
		}
		require.True(t, time.Now().Before(end), "%s does not get to 0", busy)
	}
}

// fill gives the steps "stats" the counters of their cases.
func fill(all []testcase, seen [][]string, counts, known map[string]uint64) {
	byCase := map[string][]string{} // "c7 cluster.up": "name=value"
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts := strings.SplitN(name, ".", 3)
		if len(parts) != 3 || counts[name] == 0 || leftOut[parts[2]] || strings.HasPrefix(parts[2], "membership_") {
			continue
		}
		if _, ok := known[name]; !ok && !statusStat.MatchString(parts[2]) {
			continue
		}
		whose, scope := parts[1], parts[0]
		if scope == "cluster" {
			var cluster string
			whose, cluster, _ = strings.Cut(parts[1], "_")
			scope += "." + cluster
		} else if whose == "http_local_rate_limit" {
			whose, scope = scope, whose
		} else if scope != "http" {
			continue
		}
		key := whose + " " + scope
		byCase[key] = append(byCase[key], fmt.Sprintf("%s=%d", parts[2], counts[name]))
	}
	for i := range all {
		for j, s := range all[i].steps {
			if s.cmd != "stats" {
				continue
			}
			for _, key := range slices.Sorted(maps.Keys(byCase)) {
				if whose, scope, _ := strings.Cut(key, " "); whose == prefix(i) {
					seen[i][j] += scope + ": " + strings.Join(byCase[key], " ") + "\n"
				}
			}
		}
	}
}

// fillLogs gives the steps "log" the access logs of their cases.
func fillLogs(t *testing.T, all []testcase, seen [][]string, dir string) {
	time.Sleep(200 * time.Millisecond) // they are written after the answer
	for i := range all {
		for j, s := range all[i].steps {
			if s.cmd != "log" {
				continue
			}
			b, err := os.ReadFile(logPath(dir, i))
			require.NoError(t, err)
			for line := range strings.Lines(string(b)) {
				seen[i][j] += logLine(strings.TrimSuffix(line, "\n"), i) + "\n"
			}
		}
	}
}

var (
	anyAddress = regexp.MustCompile(`127\.\d+\.\d+\.\d+:\d+`)
	randomID   = regexp.MustCompile(`x-request-id: [0-9a-f-]{36}`)
	anyID      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// logLine is a line of case i without what is by chance.
func logLine(l string, i int) string {
	l = strings.ReplaceAll(l, prefix(i)+"_", "")
	l = anyID.ReplaceAllString(anyAddress.ReplaceAllString(l, "ADDRESS"), "UUID")
	if len(l) > 500 {
		l = fmt.Sprintf("%s... %d bytes", l[:60], len(l))
	}
	if q := strconv.Quote(l); strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r > '~' }) {
		return q
	}
	return l
}

var statusStat = regexp.MustCompile(`^upstream_rq_([0-9](xx|[0-9]{2})|unknown)$`)

// leftOut are the counters that are not compared: those whose value is chance,
// and those that repeat another.
var leftOut = map[string]bool{
	// The length of x-envoy-upstream-service-time varies.
	"downstream_cx_rx_bytes_total": true, "downstream_cx_tx_bytes_total": true, "upstream_cx_rx_bytes_total": true, "upstream_cx_tx_bytes_total": true,
	// Who closes first.
	"downstream_cx_destroy_local": true, "downstream_cx_destroy_remote": true, "downstream_cx_delayed_close_timeout": true,
	// Whether a pooled connection is closed before or after they are read.
	"upstream_cx_active": true, "upstream_cx_http1_active": true, "upstream_cx_destroy": true, "upstream_cx_destroy_remote": true, "upstream_cx_destroy_local": true,
	// How much is in flight is a matter of buffers.
	"upstream_flow_control_backed_up_total": true, "upstream_flow_control_drained_total": true,
	"upstream_flow_control_paused_reading_total": true, "upstream_flow_control_resumed_reading_total": true,
	// Other names of downstream_cx_total, downstream_rq_total and upstream_cx_total.
	"downstream_cx_http1_total": true, "downstream_rq_http1_total": true, "upstream_cx_http1_total": true, "downstream_cx_destroy": true,
}
