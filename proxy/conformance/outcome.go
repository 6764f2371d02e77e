package conformance

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Play holds all cases, of which case i is to be had at addr(i), many at a time: most
// of them only wait. It returns what each step of each saw.
func (w *World) Play(addr func(i int) string) [][]string {
	seen := make([][]string, len(w.cases))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range w.cases {
		slots <- struct{}{}
		wg.Go(func() {
			seen[i] = w.cases[i].play(w.net, addr(i), w.ports[i])
			for j := range seen[i] {
				seen[i][j] = strings.ReplaceAll(seen[i][j], prefix(i)+"_", "")
				if w.net.Hosts != nil {
					seen[i][j] = w.net.Hosts.ReplaceAllString(seen[i][j], "127.0.0.1")
				}
			}
			<-slots
		})
	}
	wg.Wait()
	return seen
}

// ofClients are the connections and requests that are under way; to listeners behind, those
// stay in pools.
var ofClients = regexp.MustCompile(`^http\.c\d+(\.downstream_cx_active|_.*\.downstream_rq_active)$`)

// Settled returns the counters once nothing is under way.
func Settled(t testing.TB, read func() map[string]uint64) map[string]uint64 {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		stats, busy := read(), ""
		for name, v := range stats {
			if v != 0 && (ofClients.MatchString(name) || strings.HasSuffix(name, ".upstream_rq_active")) {
				busy += name + " "
			}
		}
		if busy == "" {
			return stats
		}
		require.True(t, time.Now().Before(end), "these do not get to 0: %s", busy)
	}
}

// Fill gives the steps "stats" the counters of their cases, of those that are known to
// the sidecar, and the steps "log" the access logs.
func (w *World) Fill(t testing.TB, seen [][]string, counts, known map[string]uint64) {
	w.fillStats(seen, counts, known)
	w.fillLogs(t, seen)
}

func (w *World) fillStats(seen [][]string, counts, known map[string]uint64) {
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
		} else if of, behind, ok := strings.Cut(whose, "_"); ok {
			if parts[2] == "downstream_cx_active" || parts[2] == "downstream_cx_http1_active" { // that are in pools
				continue
			}
			whose, scope = of, "http."+behind
		}
		key := whose + " " + scope
		byCase[key] = append(byCase[key], fmt.Sprintf("%s=%d", parts[2], counts[name]))
	}
	for i := range w.cases {
		for j, s := range w.cases[i].steps {
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

func (w *World) fillLogs(t testing.TB, seen [][]string) {
	time.Sleep(200 * time.Millisecond) // they are written after the answer
	for i := range w.cases {
		for j, s := range w.cases[i].steps {
			if s.cmd != "log" {
				continue
			}
			for _, name := range w.behind[i] {
				seen[i][j] += w.log(t, i, prefix(i)+"_"+name, name+": ")
			}
			seen[i][j] += w.log(t, i, prefix(i), "")
		}
	}
}

// log is the access log of a listener of case i.
func (w *World) log(t testing.TB, i int, listener, begin string) (lines string) {
	b, err := os.ReadFile(logPath(w.logs, listener))
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if w.net.Hosts != nil {
			line = w.net.Hosts.ReplaceAllString(line, "127.0.0.1")
		}
		lines += begin + logLine(line, i) + "\n"
	}
	return lines
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
	"circuit_breakers.default.cx_open": true, "circuit_breakers.default.remaining_cx": true, "circuit_breakers.default.remaining_cx_pools": true,
	// How much is in flight is a matter of buffers.
	"upstream_flow_control_backed_up_total": true, "upstream_flow_control_drained_total": true,
	"upstream_flow_control_paused_reading_total": true, "upstream_flow_control_resumed_reading_total": true,
	// Other names of downstream_cx_total, downstream_rq_total and upstream_cx_total.
	"downstream_cx_http1_total": true, "downstream_rq_http1_total": true, "upstream_cx_http1_total": true, "downstream_cx_destroy": true,
}
