//go:build linux

package sidecar

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// zone is a Resolver whose answer, the same for every name, changes.
type zone struct {
	mu    sync.Mutex
	addrs []netip.Addr
	err   error
	hosts []string // asked for
}

func (z *zone) set(err error, addrs ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.err, z.addrs = err, nil
	for _, a := range addrs {
		z.addrs = append(z.addrs, netip.MustParseAddr(a))
	}
}

func (z *zone) resolve(_ context.Context, network, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts = append(z.hosts, network+" "+host)
	return z.addrs, z.err
}

var (
	noHost   = &net.DNSError{Err: "no such host", IsNotFound: true}
	servfail = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
)

// byName is a relay to a name at a port.
func byName(port string) mesh.Config {
	cfg := relay(0, mesh.Endpoint{Address: "app.example:" + port})
	cfg.Clusters[0].DNS = &mesh.DNS{Refresh: 5 * time.Millisecond, Family: mesh.FamilyV4}
	return cfg
}

// twins serve f at one port of 127.0.0.1 and 127.0.0.2.
func twins(t *testing.T, one, two func(c net.Conn, r *bufio.Reader)) (port string) {
	_, port, err := net.SplitHostPort(answer(t, one))
	require.NoError(t, err)
	answerAt(t, "127.0.0.2:"+port, two)
	return port
}

// once sends a request on a connection of its own.
func once(t *testing.T, s *Server) (int, string) {
	c := dial(t, s)
	defer c.Close()
	return ask(t, c, bufio.NewReader(c), get)
}

func TestNamesFollowTheirAnswers(t *testing.T) {
	z := &zone{}
	z.set(nil, "127.0.0.1")
	s := start(t, byName(twins(t, ok("one"), ok("two"))), Options{Concurrency: 2, Resolve: z.resolve})
	require.EqualValues(t, 1, stat(t, s, "cluster.app.membership_total"), "known before anything is served")
	kept := dial(t, s)
	r := bufio.NewReader(kept)
	for _, step := range []struct {
		err   error
		addrs []string
		total uint64
		body  string // empty for 503
	}{
		{nil, []string{"127.0.0.1"}, 1, "one"},
		{nil, []string{"127.0.0.2"}, 1, "two"},
		{servfail, nil, 1, "two"}, // what is known stays
		{nil, []string{"127.0.0.2", "127.0.0.1", "127.0.0.2", "::1"}, 2, "one two"},
		{noHost, nil, 0, ""},
		{errors.New("timeout"), nil, 0, ""},
		{nil, []string{"127.0.0.1"}, 1, "one"},
		{nil, nil, 0, ""},
	} {
		failed := stat(t, s, "cluster.app.update_failure")
		z.set(step.err, step.addrs...)
		eventually(t, s, "cluster.app.membership_total", step.total)
		if step.err != nil && step.err != noHost {
			require.Eventually(t, func() bool { return stat(t, s, "cluster.app.update_failure") > failed+2 }, 30*time.Second, time.Millisecond)
		}
		require.Eventually(t, func() bool {
			status, body := ask(t, kept, r, get)
			if step.body == "" {
				return status == 503 && body == "no healthy upstream"
			}
			return status == 200 && strings.Contains(step.body, body)
		}, 30*time.Second, time.Millisecond, "%+v", step)
	}
	require.EqualValues(t, 6, stat(t, s, "cluster.app.membership_change"))
	eventually(t, s, "cluster.app.upstream_cx_active", 0)
	require.Zero(t, stat(t, s, "cluster.app.update_empty"))
	require.Eventually(t, func() bool { // they are read one after the other, and go on
		st := map[string]uint64{}
		for _, x := range s.Stats() {
			st[strings.TrimPrefix(x.Name, "cluster.app.")] = x.Value
		}
		over := st["update_success"] + st["update_failure"]
		return st["update_success"] == st["update_no_rebuild"]+st["membership_change"] && (st["update_attempt"] == over || st["update_attempt"] == over+1)
	}, 30*time.Second, time.Millisecond)
	z.mu.Lock()
	defer z.mu.Unlock()
	require.Equal(t, "ip4 app.example", z.hosts[0])
}

// A request under way ends where it began; the next one on the same connection
// goes to the new address.
func TestNamesChangeUnderARequest(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	answered := sync.OnceFunc(func() { close(release) })
	port := twins(t, func(c net.Conn, r *bufio.Reader) {
		for skipHead(r) == nil {
			arrived <- struct{}{}
			<-release
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
		}
	}, ok("two"))
	z := &zone{}
	z.set(nil, "127.0.0.1")
	s := start(t, byName(port), Options{Concurrency: 1, Resolve: z.resolve})
	t.Cleanup(answered)
	c := dial(t, s)
	r := bufio.NewReader(c)
	_, err := io.WriteString(c, get)
	require.NoError(t, err)
	<-arrived
	z.set(nil, "127.0.0.2")
	require.Eventually(t, func() bool { return s.force.Load().table.Clusters[0].Endpoints[0].Addr().String() == "127.0.0.2" }, 30*time.Second, time.Millisecond)
	_, body := once(t, s)
	require.Equal(t, "two", body)
	answered()
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "one", string(b))
	status, next := ask(t, c, r, get)
	require.Equal(t, 200, status)
	require.Equal(t, "two", next)
}

// A TCP connection goes on when its endpoint's name does not stand for it any more;
// the next one goes elsewhere.
func TestNamesMoveUnderTCP(t *testing.T) {
	echo := func(who string) func(c net.Conn, r *bufio.Reader) {
		return func(c net.Conn, r *bufio.Reader) {
			for line, err := r.ReadString('\n'); err == nil; line, err = r.ReadString('\n') {
				io.WriteString(c, who+" "+line)
			}
		}
	}
	path, dns := envoy(t), serveNames(t)
	cfg := byName(twins(t, echo("one"), echo("two")))
	cfg.Clusters[0].DNS.Refresh = 50 * time.Millisecond
	cfg.Listeners[0].VirtualHosts, cfg.Listeners[0].TCP = nil, &mesh.TCPProxy{Cluster: "app", Idle: time.Minute}
	one, two := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	play := func(addr, admin string) string {
		p := &movedPlayer{t: t, dns: dns, cluster: "app", host: "app.example", admin: admin}
		dns.set(p.host, one)
		p.lookedUp()
		time.Sleep(beat)
		said := ""
		say := func(c net.Conn) {
			io.WriteString(c, "hi\n")
			line, err := bufio.NewReader(c).ReadString('\n')
			require.NoError(t, err)
			said += line
		}
		old, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer old.Close()
		old.SetDeadline(time.Now().Add(30 * time.Second))
		say(old)
		dns.set(p.host, two)
		p.lookedUp()
		time.Sleep(beat)
		say(old)
		next, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer next.Close()
		next.SetDeadline(time.Now().Add(30 * time.Second))
		say(next)
		return said + p.clusters()
	}
	got := likewiseAsking(t, path, dns, cfg, play)
	require.Contains(t, got, "one hi\none hi\ntwo hi\n")
}

// likewiseAsking is likewise for what ours and the Envoy at path, both on cfg with one
// listener, show when they ask dns for names.
func likewiseAsking(t *testing.T, path string, dns *nameserver, cfg mesh.Config, play func(addr, admin string) string) string {
	t.Helper()
	return likewise(t, func() pair {
		cfg.Listeners[0].Address, cfg.Admin = "127.0.0.1:0", "127.0.0.1:0"
		s := start(t, cfg, Options{Concurrency: 1, Resolve: dns.resolver()})
		got := play(s.Addrs()[0].String(), s.AdminAddr().String())
		addrs := reserve(t, 2)
		cfg.Listeners[0].Address, cfg.Admin = addrs[0], addrs[1]
		runEnvoy(t, path, asking(t, cfg, dns.addr), addrs[0])
		return pair{play(addrs[0], addrs[1]), got}
	})
}

// When an endpoint goes, and when it comes back, each request is placed as by Envoy,
// on a ring and in a table.
func TestPlacementMovesWithEnvoy(t *testing.T) {
	path, dns := envoy(t), serveNames(t)
	all := make([]netip.Addr, 3)
	for i := range all {
		all[i] = netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)})
	}
	for _, p := range []mesh.Policy{mesh.RingHash, mesh.Maglev} {
		t.Run(string(p), func(t *testing.T) {
			parts := []*apart{{status: "200"}, {status: "200"}, {status: "200"}}
			cfg := byName(triplets(t, parts))
			cfg.Clusters[0].DNS.Refresh, cfg.Clusters[0].Policy = 50*time.Millisecond, p
			cfg.Listeners[0].VirtualHosts[0].Routes[0].Hash = []mesh.HashPolicy{{Header: "x-user", Terminal: true}, {Header: "X-Last"}, {Header: "User-Agent"}, {Cookie: "session"}}
			play := func(addr, admin string) string {
				var seen []string
				m := &movedPlayer{t: t, dns: dns, cluster: "app", host: "app.example", admin: admin}
				for _, addrs := range [][]netip.Addr{all, all[1:], {all[0], all[2]}, all} {
					dns.set(m.host, addrs...)
					m.lookedUp()
					time.Sleep(beat)
					answers, who := placed(t, addr, hashed()), ""
					for i := 0; i < len(answers); i += len("1.2") { // without the connection's number
						who += answers[i : i+1]
					}
					seen = append(seen, who)
				}
				return strings.Join(seen, "\n")
			}
			got := strings.Split(likewiseAsking(t, path, dns, cfg, play), "\n")
			require.Equal(t, got[0], got[3], "who comes back has its own again")
			moved := 0
			for i := range got[0] {
				if got[0][i] != '1' && got[0][i] != got[1][i] {
					moved++
				}
			}
			require.Less(t, moved, len(got[0])/6, "most of what was not the first's stays where it is")
			require.NotContains(t, got[1], "1")
		})
	}
}

// A reload keeps what is known of names that stay, waits for those that are new, and
// ends the lookups of those that are gone; one that fails leaves all as it is.
func TestNamesOverReloads(t *testing.T) {
	z := &zone{}
	z.set(nil, "127.0.0.1")
	port := twins(t, ok("one"), ok("two"))
	cfg := byName(port)
	s := start(t, cfg, Options{Concurrency: 1, Resolve: z.resolve})
	asked := func() (n int) {
		s.names.mu.Lock()
		defer s.names.mu.Unlock()
		return len(s.names.of)
	}
	z.set(servfail)
	cfg = byName(port)
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Timeout = time.Minute
	require.NoError(t, s.Reload(cfg))
	_, body := once(t, s)
	require.Equal(t, "one", body)

	more := byName(port)
	more.Clusters = append(more.Clusters, mesh.Cluster{Name: "more", DNS: &mesh.DNS{}, Endpoints: []mesh.Endpoint{{Address: "more.example:" + port}}})
	z.set(nil, "127.0.0.2")
	require.NoError(t, s.Reload(more))
	require.EqualValues(t, 1, stat(t, s, "cluster.more.membership_total"))
	require.Equal(t, 2, asked())

	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	fails := byName(port)
	fails.Listeners[0].Address = busy.Addr().String()
	fails.Clusters[0].Endpoints[0].Address = "other.example:" + port
	require.Error(t, s.Reload(fails))
	require.Equal(t, 2, asked())

	require.NoError(t, s.Reload(relay(0, mesh.Endpoint{Address: "127.0.0.1:" + port})))
	require.Zero(t, asked())
	_, body = once(t, s)
	require.Equal(t, "one", body)
}

// Names that nobody answers for do not hold things up for ever, and a Server that
// never runs leaves no lookup behind.
func TestNamesThatNobodyAnswers(t *testing.T) {
	s := &Server{opt: Options{Log: io.Discard, Resolve: func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}}
	n := newNames(s)
	n.patience = 10 * time.Millisecond
	cfg := byName("80")
	n.begin(&cfg)
	require.Empty(t, n.resolve(cfg).Clusters[0].Endpoints)
	n.cancel()
	n.wg.Wait()

	z := &zone{}
	z.set(noHost)
	idle, err := New(byName("80"), Options{Concurrency: 1, Resolve: z.resolve})
	require.NoError(t, err)
	z.set(nil, "127.0.0.1")
	require.Eventually(t, func() bool { return len(idle.force.Load().table.Clusters[0].Endpoints) == 1 }, 30*time.Second, time.Millisecond)
	require.NoError(t, idle.Close())
}

// Both proxies resolve a name that /etc/hosts has, and an address in the place of
// one.
func TestNamesWithEnvoy(t *testing.T) {
	path := envoy(t)
	addrs := reserve(t, 2)
	_, port, err := net.SplitHostPort(answer(t, ok("here")))
	require.NoError(t, err)
	cfg := byName(port)
	cfg.Admin, cfg.Node, cfg.Listeners[0].Address = addrs[1], "names", addrs[0]
	cfg.Clusters[0].DNS.Refresh = 100 * time.Millisecond
	cfg.Clusters[0].Endpoints = []mesh.Endpoint{{Address: "localhost:" + port}, {Address: "127.0.0.1:" + port, Weight: 2}}
	startEnvoy(t, path, cfg, addrs[0])
	theirs := resolved(t, addrs[0], addrs[1])

	cfg.Listeners[0].Address, cfg.Admin = "127.0.0.1:0", "127.0.0.1:0"
	s := start(t, cfg, Options{Concurrency: 1})
	ours := resolved(t, s.Addrs()[0].String(), s.AdminAddr().String())
	for _, name := range []string{"membership_change", "membership_total", "membership_healthy", "update_failure", "update_empty", "upstream_rq_200"} {
		require.Contains(t, theirs, name)
		require.Equal(t, theirs[name], ours[name], name)
	}
	for _, all := range []map[string]uint64{theirs, ours} {
		require.Greater(t, all["update_no_rebuild"], uint64(2))
		require.True(t, addUp(all), all)
	}
}

// addUp reports whether the counters of lookups agree, of which two are under way at most.
func addUp(all map[string]uint64) bool {
	return all["update_success"] == all["update_no_rebuild"]+all["membership_change"] && all["update_attempt"]-all["update_success"] <= 2
}

// resolved asks for something, waits for some lookups and returns the cluster's
// counters.
func resolved(t *testing.T, addr, admin string) map[string]uint64 {
	require.NoError(t, askOnce(addr))
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all := map[string]uint64{}
		for name, v := range scrape(t, admin) {
			all[strings.TrimPrefix(name, "cluster.app.")] = v
		}
		if all["update_no_rebuild"] > 4 && addUp(all) || time.Now().After(end) {
			return all
		}
	}
}
