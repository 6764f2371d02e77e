//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	yaml "go.yaml.in/yaml/v3"

	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// moved is a story of a name whose addresses change. Its steps are
//
//	dns 1 2    the name stands for 127.0.0.1 and 127.0.0.2 from now on
//	ask 2      two requests, one after the other: "1.3" is an answer over the third
//	           connection to 127.0.0.1
//	1=503      what 127.0.0.1 answers requests; "1=sick", that it fails health checks
//	hold 1     a request is under way, until "release 1"
//	clusters   what the admin says of the endpoints
//	closed     which connections the proxy has closed since the last time
type moved struct {
	name   string
	change func(c *mesh.Cluster)
	steps  string
}

func movedStories() []moved {
	outliers := func(c *mesh.Cluster) {
		c.Outliers = new(mesh.DefaultOutliers)
		c.Outliers.Consecutive5xx, c.Outliers.MaxPercent = 2, 67
	}
	check := func(c *mesh.Cluster) {
		const d = 50 * time.Millisecond
		c.Panic, c.MergeWindow = new(0.), new(time.Duration(0))
		c.Check = &mesh.HealthCheck{Timeout: 5 * time.Second, Interval: d, NoTraffic: d, NoTrafficHealthy: d, Unhealthy: d, UnhealthyEdge: d, HealthyEdge: d,
			UnhealthyThreshold: 2, HealthyThreshold: 2, HTTP: &mesh.HTTPCheck{Path: "/health"}}
	}
	one := func(c *mesh.Cluster) { c.Breakers = &mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 1} }
	return []moved{
		{"one joins", nil, "dns 1, ask 2, dns 1 2, ask 4, closed, clusters"},
		{"one goes", nil, "dns 1 2, ask 2, dns 2, closed, ask 2, clusters"},
		{"one goes for another", nil, "dns 1 2, ask 2, dns 2 3, closed, ask 2, clusters"},
		{"all go, and come back", nil, "dns 1 2, ask 2, dns, closed, ask 1, dns 1 2, ask 2, clusters"},
		{"one comes back", nil, "dns 1 2, ask 4, dns 2, dns 1 2, ask 4, closed, clusters"},
		{"it goes under a request", nil, "dns 1, hold a, dns 2, clusters, ask 1, closed, release a, closed, ask 1"},
		{"it goes under a request, and comes back", nil, "dns 1, hold a, dns 2, dns 1, ask 1, closed, release a, closed, ask 1, clusters"},
		{"requests under way count on", one, "dns 1, hold a, dns 1 2, ask 2, release a, ask 2"},
		{"and where theirs has gone", one, "dns 1, hold a, dns 2, ask 2, release a, ask 1"},
		{"the least busy", func(c *mesh.Cluster) { c.Policy, c.Choices = mesh.LeastRequest, 50 }, "dns 1, hold a, dns 1 2, ask 3, release a, clusters"},
		{"who is ejected stays it", outliers, "dns 1 2, 1=503, ask 2, ask 2, clusters, dns 1 2 3, 1=200, ask 4, clusters"},
		{"who is ejected goes, and comes back", outliers, "dns 1 2, 1=503, ask 2, ask 2, dns 2, clusters, dns 1 2, 1=200, ask 4, clusters"},
		{"errors in a row count on", outliers, "dns 1, 1=503, ask 1, dns 1 2, ask 2, clusters"},
		{"who joins is asked first", check, "1=sick, 2=sick, dns 1, ask 1, dns 1 2, ask 2, clusters, 2=well, clusters, ask 2"},
		{"what is found of who joins waits for the merge window", func(c *mesh.Cluster) { check(c); c.MergeWindow = new(time.Minute) }, "dns 1, clusters, ask 1, dns 1 2, ask 2, clusters"},
		{"who is well stays without a name", check, "dns 1 2, ask 2, dns 2, clusters, ask 2, closed"},
		{"until it is not", check, "dns 1 2, ask 2, dns 2, clusters, 1=sick, clusters, closed, ask 2, 1=well, clusters, dns 1 2, clusters, ask 2"},
		{"or has its name again", check, "dns 1 2, ask 2, dns 2, clusters, dns 1 2, clusters, closed, ask 2"},
		{"who is not well goes with its name", check, "1=sick, dns 1 2, clusters, dns 2, clusters, ask 2"},
	}
}

// apart is one of a story's endpoints.
type apart struct {
	mu       sync.Mutex
	status   string
	sick     bool
	conns    int // with requests
	closed   []string
	released map[string]chan struct{}
}

// serve is endpoint who.
func (a *apart) serve(who int) func(c net.Conn, r *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		name := ""
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				break
			}
			a.mu.Lock()
			status := a.status
			if req.URL.Path == "/health" {
				if status = "200"; a.sick {
					status = "503"
				}
			} else if name == "" {
				a.conns++
				name = fmt.Sprintf("%d.%d", who, a.conns)
			}
			wait := a.released[req.Header.Get("X-Hold")]
			a.mu.Unlock()
			if wait != nil {
				<-wait
			}
			fmt.Fprintf(c, "HTTP/1.1 %s X\r\nContent-Length: %d\r\n\r\n%s", status, len(name), name)
		}
		if name != "" {
			a.mu.Lock()
			a.closed = append(a.closed, name)
			a.mu.Unlock()
		}
	}
}

// whenAllKnow is how long it takes until all workers know what one of the lookups or
// health checks has found: some of them, and a message.
const whenAllKnow = 3 * beat

// TestNamesMoveWithEnvoy tells every story to both proxies, which ask the same name
// server: what is asked of whom over which connection, and what is counted, is the
// same.
func TestNamesMoveWithEnvoy(t *testing.T) {
	path, all := envoy(t), movedStories()
	for i, p := range alike(all, func(some []moved, longer time.Duration) []pair { return movedWith(t, path, some, longer) }) {
		t.Run(all[i].name, func(t *testing.T) { require.Equal(t, p.envoy, p.ours) })
	}
}

// movedWith tells stories to both.
func movedWith(t *testing.T, path string, all []moved, longer time.Duration) []pair {
	dns := serveNames(t)
	run := func(side string, begin func(cfg mesh.Config) (addr func(i int) string, admin string)) (seen []string) {
		cfg := mesh.Config{Node: "moved"}
		parts := make([][]*apart, len(all))
		for i, s := range all {
			name := fmt.Sprint("c", i)
			parts[i] = []*apart{{status: "200"}, {status: "200"}, {status: "200"}}
			released := map[string]chan struct{}{"a": make(chan struct{})}
			for _, a := range parts[i] {
				a.released = released
			}
			host := name + "." + side + ".example"
			c := mesh.Cluster{Name: name, Policy: mesh.RoundRobin, DNS: &mesh.DNS{Refresh: 50 * time.Millisecond, Family: mesh.FamilyV4},
				Endpoints: []mesh.Endpoint{{Address: host + ":" + triplets(t, parts[i])}}}
			if s.change != nil {
				s.change(&c)
			}
			cfg.Clusters = append(cfg.Clusters, c)
			cfg.Listeners = append(cfg.Listeners, mesh.Listener{Name: name, StatPrefix: name, Address: "127.0.0.1:0",
				VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: name}}}}})
		}
		addr, admin := begin(cfg)
		var wg sync.WaitGroup
		seen = make([]string, len(all))
		for i, s := range all {
			wg.Go(func() {
				p := &movedPlayer{t: t, whenAllKnow: whenAllKnow * longer, dns: dns, cluster: fmt.Sprint("c", i), host: fmt.Sprint("c", i, ".", side, ".example"), addr: addr(i), admin: admin, parts: parts[i]}
				seen[i] = p.play(s.steps)
			})
		}
		wg.Wait()
		return seen
	}
	got := run("ours", func(cfg mesh.Config) (func(i int) string, string) {
		cfg.Admin = "127.0.0.1:0"
		s := start(t, cfg, Options{Concurrency: 1, Resolve: dns.resolver()})
		return func(i int) string { return s.Addrs()[i].String() }, s.AdminAddr().String()
	})
	want := run("envoy", func(cfg mesh.Config) (func(i int) string, string) {
		addrs := reserve(t, len(all)+1)
		for i := range all {
			cfg.Listeners[i].Address = addrs[i]
		}
		cfg.Admin = addrs[len(all)]
		runEnvoy(t, path, asking(t, cfg, dns.addr), addrs[0])
		return func(i int) string { return addrs[i] }, cfg.Admin
	})
	out := make([]pair, len(all))
	for i := range all {
		out[i] = pair{want[i], got[i]}
	}
	return out
}

// triplets serve at one port of 127.0.0.1, 127.0.0.2 and 127.0.0.3.
func triplets(t *testing.T, parts []*apart) (port string) {
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.3:0")
		require.NoError(t, err)
		_, port, err = net.SplitHostPort(ln.Addr().String())
		require.NoError(t, err)
		free := true
		for _, host := range []string{"127.0.0.1:", "127.0.0.2:"} {
			other, err := net.Listen("tcp", host+port)
			if free = free && err == nil; err == nil {
				other.Close()
			}
		}
		ln.Close()
		if free {
			break
		}
	}
	for i, a := range parts {
		answerAt(t, fmt.Sprintf("127.0.0.%d:%s", i+1, port), a.serve(i+1))
	}
	return port
}

// asking is cfg's bootstrap file with all clusters asking the name server at addr.
func asking(t *testing.T, cfg mesh.Config, addr string) []byte {
	file, err := envoyconf.Bootstrap(cfg)
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, yaml.Unmarshal(file, &doc))
	a := netip.MustParseAddrPort(addr)
	for _, c := range doc["static_resources"].(map[string]any)["clusters"].([]any) {
		c.(map[string]any)["typed_dns_resolver_config"] = map[string]any{"name": "cares", "typed_config": map[string]any{
			"@type":     "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
			"resolvers": []any{map[string]any{"socket_address": map[string]any{"address": a.Addr().String(), "port_value": a.Port()}}},
		}}
	}
	file, err = yaml.Marshal(doc)
	require.NoError(t, err)
	return file
}

type movedPlayer struct {
	whenAllKnow                time.Duration
	t                          *testing.T
	dns                        *nameserver
	cluster, host, addr, admin string
	parts                      []*apart
	held                       chan string
	said                       strings.Builder
}

func (p *movedPlayer) play(steps string) string {
	for _, step := range strings.Split(steps, ", ") {
		fmt.Fprintf(&p.said, "%s:", step)
		p.step(strings.Fields(step))
		p.said.WriteByte('\n')
	}
	time.Sleep(p.whenAllKnow)
	var lines []string
	for name, v := range scrape(p.t, p.admin) {
		for _, c := range movedStats {
			if name == "cluster."+p.cluster+"."+c {
				lines = append(lines, fmt.Sprintf("%s: %d\n", c, v))
			}
		}
	}
	sort.Strings(lines)
	return p.said.String() + strings.Join(lines, "")
}

var movedStats = []string{
	"membership_change", "membership_total", "membership_healthy", "update_failure", "update_empty", "upstream_cx_total", "upstream_cx_active",
	"upstream_cx_destroy", "upstream_cx_destroy_local", "upstream_cx_destroy_remote", "upstream_cx_connect_fail", "upstream_cx_none_healthy", "upstream_cx_overflow",
	"upstream_rq_total", "upstream_rq_active", "upstream_rq_200", "upstream_rq_503", "upstream_rq_pending_total", "upstream_rq_pending_overflow",
	"lb_healthy_panic", "health_check.healthy",
}

func (p *movedPlayer) step(f []string) {
	switch f[0] {
	case "dns":
		var addrs []netip.Addr
		for _, who := range f[1:] {
			addrs = append(addrs, netip.MustParseAddr("127.0.0."+who))
		}
		p.dns.set(p.host, addrs...)
		p.lookedUp()
		time.Sleep(p.whenAllKnow)
	case "ask":
		n, _ := strconv.Atoi(f[1])
		var who []string
		for range n {
			b := raw(p.addr, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
			head, body, _ := strings.Cut(b, "\r\n\r\n")
			who = append(who, strings.Fields(head)[1]+" "+body)
			time.Sleep(20 * time.Millisecond) // the connection is back in its pool
		}
		slices.Sort(who) // whose turn it is first is by chance
		p.said.WriteString(" " + strings.Join(who, ", "))
		time.Sleep(p.whenAllKnow)
	case "hold":
		p.held = make(chan string, 1)
		go func() {
			p.held <- raw(p.addr, "GET / HTTP/1.1\r\nhost: x\r\nx-hold: "+f[1]+"\r\nconnection: close\r\n\r\n")
		}()
		time.Sleep(p.whenAllKnow)
	case "release":
		close(p.parts[0].released[f[1]])
		_, body, _ := strings.Cut(<-p.held, "\r\n\r\n")
		p.said.WriteString(" " + body)
		time.Sleep(p.whenAllKnow)
	case "closed":
		var all []string
		for _, a := range p.parts {
			a.mu.Lock()
			all = append(all, a.closed...)
			a.closed = nil
			a.mu.Unlock()
		}
		slices.Sort(all)
		p.said.WriteString(" " + strings.Join(all, " "))
	case "clusters":
		p.said.WriteString("\n" + p.clusters())
	default:
		who, what, _ := strings.Cut(f[0], "=")
		a := p.parts[who[0]-'1']
		a.mu.Lock()
		switch what {
		case "sick", "well":
			a.sick = what == "sick"
		default:
			a.status = what
		}
		a.mu.Unlock()
		time.Sleep(p.whenAllKnow)
	}
}

// lookedUp waits until a lookup that begins now is over.
func (p *movedPlayer) lookedUp() {
	attempts := func() uint64 { return scrape(p.t, p.admin)["cluster."+p.cluster+".update_attempt"] }
	first := attempts()
	for end := time.Now().Add(30 * time.Second); attempts() < first+3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Errorf("%s is not asked for", p.host)
			return
		}
	}
}

// clusters is what the admin says of the cluster's endpoints, in order.
func (p *movedPlayer) clusters() string {
	var lines []string
	for line := range strings.Lines(askAdmin(p.t, p.admin, "GET", "/clusters").body) {
		f := strings.Split(strings.TrimSpace(line), "::")
		if len(f) != 4 || f[0] != p.cluster || !slices.Contains([]string{"hostname", "health_flags", "weight", "cx_active", "cx_total", "rq_total", "rq_active", "rq_error"}, f[2]) {
			continue
		}
		host, _, _ := net.SplitHostPort(f[1])
		f[3] = strings.NewReplacer(".ours.", ".", ".envoy.", ".").Replace(f[3])
		lines = append(lines, fmt.Sprintf("  %s %s %s\n", host, f[2], f[3]))
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}
