//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// judged is a story of endpoints that answer badly. Its steps are "2x5 503", which
// is five requests that would go to endpoint 2 if all were well, and are answered
// 503; "any x9 200", for requests that go anywhere; and "wait 300ms".
type judged struct {
	name      string
	endpoints int
	outliers  func(o *mesh.OutlierDetection)
	change    func(c *mesh.Cluster, r *mesh.Route)
	steps     []string
	loose     bool // how many requests there are differs
}

func stories() []judged {
	half := func(o *mesh.OutlierDetection) { o.MaxPercent = 50 }
	all := func(o *mesh.OutlierDetection) { o.MaxPercent = 100 }
	quick := func(o *mesh.OutlierDetection) {
		o.MaxPercent, o.Interval, o.BaseEjection, o.MaxEjection = 50, 100*time.Millisecond, 400*time.Millisecond, 1000*time.Millisecond
	}
	threshold := func(percent float64) func(c *mesh.Cluster, r *mesh.Route) {
		return func(c *mesh.Cluster, _ *mesh.Route) { c.Panic = &percent }
	}
	rates := func(o *mesh.OutlierDetection) {
		o.MaxPercent, o.Interval, o.SuccessVolume, o.FailureVolume = 50, 2*time.Second, 10, 10
		o.Consecutive5xx, o.BaseEjection = 20, time.Millisecond
	}
	failures := func(o *mesh.OutlierDetection) {
		rates(o)
		o.EnforceSuccess, o.EnforceFailure = 0, 100
	}
	window := func(w time.Duration) func(c *mesh.Cluster, r *mesh.Route) {
		return func(c *mesh.Cluster, _ *mesh.Route) { c.MergeWindow = &w }
	}
	// Of so many endpoints the first answers some of ten badly; this begins with an
	// interval and ends after it.
	sweep := func(endpoints, bad int) []string {
		steps := []string{"align", fmt.Sprintf("0x%d 500", bad)}
		if bad < 10 {
			steps = append(steps, fmt.Sprintf("0x%d 200", 10-bad))
		}
		for i := 1; i < endpoints; i++ {
			steps = append(steps, fmt.Sprintf("%dx10 200", i))
		}
		return append(steps, "wait 2000ms", "0x3 200")
	}
	return []judged{
		{"five of 5xx, ten percent of three", 3, nil, nil, []string{"0x6 503", "0x2 200"}, false},
		{"five of 5xx", 3, half, nil, []string{"0x4 500", "0x1 200", "0x4 501", "0x1 502", "0x3 200", "1x2 200"}, false},
		{"a second one is too much", 3, half, nil, []string{"0x5 503", "1x6 503", "1x5 503", "0x2 200"}, false},
		{"two of four", 4, half, nil, []string{"0x5 503", "1x5 503", "2x5 503", "0x2 200", "1x2 200", "2x2 200", "3x2 200"}, false},
		{"one of however many", 20, func(o *mesh.OutlierDetection) { o.MaxPercent = 0; o.AlwaysEjectOne = true }, nil, []string{"0x5 503", "1x5 503", "0x2 200", "1x2 200"}, false},
		{"one of one", 1, func(o *mesh.OutlierDetection) { o.AlwaysEjectOne = true }, nil, []string{"0x5 503", "0x2 200"}, false},
		{"two in a row", 3, func(o *mesh.OutlierDetection) { o.MaxPercent, o.Consecutive5xx = 50, 2 }, nil, []string{"0x1 503", "0x1 200", "0x1 503", "0x1 404", "0x2 503", "0x1 200"}, false},
		{"off", 3, func(o *mesh.OutlierDetection) { o.MaxPercent, o.Consecutive5xx = 50, 0 }, nil, []string{"0x9 503", "0x1 200"}, false},
		{"detected only", 3, func(o *mesh.OutlierDetection) { o.MaxPercent, o.Enforce5xx = 50, 0 }, nil, []string{"0x11 503", "0x1 200"}, false},
		{"gateway failures are not acted upon", 3, func(o *mesh.OutlierDetection) { o.MaxPercent, o.Consecutive5xx = 50, 0 }, nil, []string{"0x6 503", "0x1 200"}, false},
		{"gateway failures", 3, func(o *mesh.OutlierDetection) { o.MaxPercent, o.Consecutive5xx, o.EnforceGateway = 50, 0, 100 }, nil, []string{"0x4 503", "0x1 500", "0x4 504", "0x1 502", "0x1 200"}, false},
		{"gateway failures and 5xx at once", 3, func(o *mesh.OutlierDetection) { o.MaxPercent, o.EnforceGateway = 50, 100 }, nil, []string{"0x5 503", "0x1 200"}, false},
		{"losses", 3, half, nil, []string{"0x5 close", "0x1 200"}, false},
		{"losses in a body", 3, half, nil, []string{"0x6 half", "0x1 200"}, false},
		{"nonsense", 3, half, nil, []string{"0x5 nonsense", "0x1 200"}, false},
		{"no connection", 3, half, func(c *mesh.Cluster, _ *mesh.Route) { c.Endpoints[0].Address = "127.0.0.1:1" }, []string{"0x7 200"}, false},
		{"timeouts", 3, half, func(_ *mesh.Cluster, r *mesh.Route) { r.Timeout = 60 * time.Millisecond }, []string{"0x5 hang", "0x1 200"}, false},
		{"timeouts of tries", 3, half, func(_ *mesh.Cluster, r *mesh.Route) { r.Retry = &mesh.RetryPolicy{PerTry: 60 * time.Millisecond} }, []string{"0x5 hang", "0x1 200"}, false},
		// Two tries a request: with three, whether the last comes before the ejection or after it is a matter of the jittered wait.
		{"tries count, each", 3, half, func(_ *mesh.Cluster, r *mesh.Route) {
			r.Retry = &mesh.RetryPolicy{On: []string{"5xx"}, Retries: 1, Base: 40 * time.Millisecond}
		}, []string{"0x1 503", "0x1 503"}, false},
		{"overflows don't", 3, half, breakersOf(0), []string{"0x6 200"}, false},
		{"back again", 3, quick, nil, []string{"0x5 503", "0x1 200", "wait 650ms", "0x1 200", "0x4 503", "0x1 503", "wait 500ms", "0x1 200", "wait 600ms", "0x1 200"}, false},
		{"gone no longer than the longest time", 3, func(o *mesh.OutlierDetection) {
			quick(o)
			o.MaxEjection = 400 * time.Millisecond
		}, nil, []string{"0x5 503", "wait 650ms", "0x5 503", "0x1 200", "wait 650ms", "0x1 200"}, false},
		{name: "success rate", endpoints: 5, outliers: rates, steps: sweep(5, 5), loose: true},
		{name: "success rate, too few endpoints", endpoints: 4, outliers: rates, steps: sweep(4, 10), loose: true},
		{name: "success rate, too few requests", endpoints: 5, outliers: func(o *mesh.OutlierDetection) { rates(o); o.SuccessVolume = 11 }, steps: sweep(5, 5), loose: true},
		{name: "success rate, three will do", endpoints: 3, outliers: func(o *mesh.OutlierDetection) { rates(o); o.SuccessHosts, o.SuccessStdev = 3, 1000 }, steps: sweep(3, 10), loose: true},
		{name: "success rate, not so far off", endpoints: 3, outliers: func(o *mesh.OutlierDetection) { rates(o); o.SuccessHosts, o.SuccessStdev = 3, 1500 }, steps: sweep(3, 10), loose: true},
		{name: "failure percentage is not acted upon", endpoints: 5, outliers: func(o *mesh.OutlierDetection) { failures(o); o.EnforceFailure = 0 }, steps: sweep(5, 9), loose: true},
		{name: "failure percentage", endpoints: 5, outliers: failures, steps: sweep(5, 9), loose: true},
		{name: "failure percentage, not enough", endpoints: 5, outliers: failures, steps: sweep(5, 8), loose: true},
		{"changes are merged", 4, half, window(time.Second), []string{"0x5 503", "0x1 200", "1x5 503", "1x2 200", "wait 1200ms", "1x2 200"}, false},
		// The window is shorter than the machine has been up: Envoy's begins at its monotonic clock's 0.
		{"changes are merged for long", 4, half, window(30 * time.Second), []string{"0x5 503", "0x1 200", "1x5 503", "1x2 200", "wait 1200ms", "1x2 200"}, false},
		{"panic", 4, all, nil, []string{"0x5 503", "1x5 503", "0x2 200", "1x2 200", "2x5 503", "0x2 200", "2x2 200", "3x2 200"}, false},
		{"all of one", 1, all, nil, []string{"0x5 503", "0x2 200"}, false},
		{"no panic", 3, all, threshold(0), []string{"0x5 503", "1x5 503", "1x1 200", "2x5 503", "0x2 200"}, false},
		{"panic at all", 4, all, threshold(100), []string{"0x5 503", "0x2 200", "1x5 503", "0x2 200", "1x2 200"}, false},
		{"panic below a third", 5, all, threshold(33), []string{"0x5 503", "1x5 503", "2x5 503", "2x1 200", "3x5 503", "0x2 200", "4x2 200"}, false},
		{"in turn", 3, half, func(c *mesh.Cluster, r *mesh.Route) { c.Policy, r.Hash = mesh.RoundRobin, nil }, []string{"any x15 bad0", "any x20 200"}, false},
		{"in turn by weight", 3, half, func(c *mesh.Cluster, r *mesh.Route) {
			c.Policy, r.Hash = mesh.RoundRobin, nil
			for i := range c.Endpoints {
				c.Endpoints[i].Weight = uint32(i + 1)
			}
		}, []string{"any x40 bad0", "any x50 200"}, false},
		{"in turn, panic", 2, all, func(c *mesh.Cluster, r *mesh.Route) { c.Policy, r.Hash = mesh.RoundRobin, nil }, []string{"any x10 503", "any x10 200"}, false},
		{"the least busy", 3, half, func(c *mesh.Cluster, r *mesh.Route) { c.Policy, r.Hash = mesh.LeastRequest, nil }, []string{"any x100 bad0", "any x10 bad0"}, false},
		{"by the table", 3, half, func(c *mesh.Cluster, r *mesh.Route) { c.Policy = mesh.Maglev }, []string{"0x5 503", "0x2 200", "1x2 200", "2x2 200"}, false},
	}
}

func breakersOf(pending uint32) func(c *mesh.Cluster, r *mesh.Route) {
	return func(c *mesh.Cluster, _ *mesh.Route) {
		c.Breakers = &mesh.Breakers{MaxConnections: 9, MaxPending: pending, MaxRequests: 9}
	}
}

// obedient is an endpoint that answers as x-do says, and says who it is.
func obedient(who int) func(c net.Conn, r *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			do := req.Header.Get("X-Do")
			if do == fmt.Sprint("bad", who) {
				do = "503"
			} else if strings.HasPrefix(do, "bad") {
				do = "200"
			}
			switch do {
			case "close":
				return
			case "half":
				fmt.Fprintf(c, "HTTP/1.1 200 X\r\nx-who: %d\r\ncontent-length: 9\r\n\r\nhalf", who)
				return
			case "nonsense":
				io.WriteString(c, "nonsense\r\n\r\n")
				return
			case "hang":
				io.Copy(io.Discard, r)
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 %s X\r\nx-who: %d\r\ncontent-length: 0\r\n\r\n", do, who)
		}
	}
}

// TestOutliers plays every story through both proxies: who answers each request,
// and the cluster's counters, are the same.
func TestOutliers(t *testing.T) {
	path, all := envoy(t), stories()
	for i, p := range alike(all, func(some []judged, longer time.Duration) []pair { return judge(t, path, some, longer) }) {
		t.Run(all[i].name, func(t *testing.T) { require.Equal(t, p.envoy, p.ours) })
	}
}

// judge plays stories through both.
func judge(t *testing.T, path string, all []judged, longer time.Duration) []pair {
	cfg := mesh.Config{Admin: "127.0.0.1:0"}
	for i, s := range all {
		name := fmt.Sprint("c", i)
		c := mesh.Cluster{Name: name, Policy: mesh.RingHash, Outliers: new(mesh.DefaultOutliers), MergeWindow: new(time.Duration(0))}
		if s.outliers != nil {
			s.outliers(c.Outliers)
		}
		for who := range s.endpoints {
			c.Endpoints = append(c.Endpoints, mesh.Endpoint{Address: answer(t, obedient(who))})
		}
		route := mesh.Route{Prefix: "/", Cluster: name, Hash: []mesh.HashPolicy{{Header: "x-user"}}}
		if s.change != nil {
			s.change(&c, &route)
		}
		o := c.Outliers
		times := []*time.Duration{&o.Interval, &o.BaseEjection, &o.MaxEjection, &route.Timeout, c.MergeWindow}
		if p := route.Retry; p != nil {
			times = append(times, &p.PerTry, &p.Base)
		}
		for _, d := range times {
			*d *= longer
		}
		cfg.Clusters = append(cfg.Clusters, c)
		cfg.Listeners = append(cfg.Listeners, mesh.Listener{Name: name, StatPrefix: name, Address: "127.0.0.1:0",
			VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{route}}}})
	}
	table, err := mesh.Compile(cfg)
	require.NoError(t, err)
	play := func(addr func(i int) string) (seen []string) {
		var wg sync.WaitGroup
		slots := make(chan struct{}, 16)
		seen = make([]string, len(all))
		for i, s := range all {
			slots <- struct{}{}
			users := usersOf(t, table, i)
			wg.Go(func() {
				seen[i] = s.play(addr(i), users, longer)
				<-slots
			})
		}
		wg.Wait()
		return seen
	}
	ours := start(t, cfg, Options{Concurrency: 1})
	got := play(func(i int) string { return ours.Addrs()[i].String() })
	stats := scrape(t, ours.AdminAddr().String())
	addrs := reserve(t, len(all)+1)
	cfg.Listeners = slices.Clone(cfg.Listeners)
	for i := range all {
		cfg.Listeners[i].Address = addrs[i]
	}
	cfg.Admin = addrs[len(all)]
	startEnvoy(t, path, cfg, addrs[0])
	want := play(func(i int) string { return addrs[i] })
	envoys := scrape(t, addrs[len(all)])
	out := make([]pair, len(all))
	for i, s := range all {
		out[i] = pair{want[i], got[i] + differ(fmt.Sprintf("cluster.c%d.%s", i, map[bool]string{true: "outlier"}[s.loose]), envoys, stats)}
	}
	return out
}

// usersOf is a user for each endpoint of cluster i.
func usersOf(t *testing.T, table *mesh.Table, i int) (users []string) {
	c := &table.Clusters[i]
	users = make([]string, len(c.Endpoints))
	if c.Policy != mesh.RingHash && c.Policy != mesh.Maglev {
		return users
	}
	well := *c
	well.Check = nil
	health := mesh.NewHealth(&well)
	b := mesh.NewBalancer(health.View(), 1)
	for u, left := 0, len(users); left > 0; u++ {
		h := &http1.Head{}
		h.Reset(false)
		_, err := h.Parse(fmt.Appendf(nil, "GET / HTTP/1.1\r\nhost: x\r\nx-user: %d\r\n\r\n", u))
		require.NoError(t, err)
		hash, ok := table.Listeners[i].Route(h).Hash(h, nil)
		require.True(t, ok)
		if e := slices.Index(health.Hosts(), b.Next(hash, true)); users[e] == "" {
			users[e] = fmt.Sprint(u)
			left--
		}
	}
	return users
}

var whoHeader = regexp.MustCompile(`x-who: (\d+)`)

// said is what a request is answered.
func said(addr, user, do string) string {
	b := raw(addr, "GET / HTTP/1.1\r\nhost: x\r\nx-user: "+user+"\r\nx-do: "+do+"\r\nconnection: close\r\n\r\n")
	status, _, _ := strings.Cut(strings.TrimPrefix(b, "HTTP/1.1 "), " ")
	return status + " of " + whoHeader.FindString(b)
}

// play tells the story and returns who answered what.
func (s *judged) play(addr string, users []string, longer time.Duration) string {
	var out strings.Builder
	for _, step := range s.steps {
		if d, ok := strings.CutPrefix(step, "wait "); ok {
			d, _ := time.ParseDuration(d)
			time.Sleep(d * longer)
			continue
		}
		if step == "align" { // who is ejected for a moment comes back when an interval ends
			for range 20 {
				said(addr, users[0], "500")
			}
			for said(addr, users[0], "200") == "200 of x-who: 0" {
			}
			for said(addr, users[0], "200") != "200 of x-who: 0" {
			}
			continue
		}
		user, n, do := "", 0, ""
		if rest, ok := strings.CutPrefix(step, "any "); ok {
			fmt.Sscanf(rest, "x%d %s", &n, &do)
		} else {
			e := 0
			fmt.Sscanf(step, "%dx%d %s", &e, &n, &do)
			user = users[e]
		}
		fmt.Fprintf(&out, "%s:", step)
		counts := map[string]int{}
		for range n {
			said := said(addr, user, do)
			if user == "" {
				counts[said]++
			} else {
				out.WriteString(" " + said + ",")
			}
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(beat * longer)                        // Envoy's workers hear of an ejection from its main thread
		if user == "" && !strings.HasPrefix(do, "bad") { // whose turn it was at first is by chance
			fmt.Fprint(&out, counts)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// TestOutliersOfTCP has connections to a dead endpoint among two take it out.
func TestOutliersOfTCP(t *testing.T) {
	cfg := mesh.Config{Admin: "127.0.0.1:0",
		Listeners: []mesh.Listener{{Name: "l", Address: "127.0.0.1:0", StatPrefix: "l", TCP: &mesh.TCPProxy{Cluster: "app", Idle: time.Hour}}},
		Clusters: []mesh.Cluster{{Name: "app", Outliers: new(mesh.DefaultOutliers), MergeWindow: new(time.Duration(0)), Endpoints: []mesh.Endpoint{
			{Address: answer(t, func(c net.Conn, _ *bufio.Reader) { io.WriteString(c, "hello") })}, {Address: "127.0.0.1:1"}}}},
	}
	cfg.Clusters[0].Outliers.MaxPercent = 50
	play := func(addr string) (greeted int) {
		for range 20 {
			if raw(addr, "") == "hello" {
				greeted++
			} else {
				time.Sleep(2 * beat) // all of Envoy's threads hear of it
			}
			time.Sleep(beat / 4)
		}
		return greeted
	}
	path := envoy(t)
	s := start(t, cfg, Options{Concurrency: 1})
	check := func(addr string) {
		require.GreaterOrEqual(t, play(addr), 15, "at most five go to the dead endpoint")
		require.Equal(t, 20, play(addr), "and then no more")
	}
	check(s.Addrs()[0].String())
	stats := scrape(t, s.AdminAddr().String())
	addrs := reserve(t, 2)
	cfg.Listeners[0].Address, cfg.Admin = addrs[0], addrs[1]
	startEnvoy(t, path, cfg, addrs[0])
	check(addrs[0])
	require.Empty(t, differ("cluster.app.outlier", scrape(t, addrs[1]), stats))
}
