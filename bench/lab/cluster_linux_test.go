package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench/clusterdns"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
)

// serveNames is the name server, as a child of a test.
func serveNames(args []string) int {
	file, at := strings.TrimPrefix(args[0], "--zone="), strings.TrimPrefix(args[1], "--listen=")
	text, err := os.ReadFile(file)
	if err == nil {
		var z clusterdns.Zone
		if z, err = clusterdns.ParseZone(text, file); err == nil {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer stop()
			err = clusterdns.Serve(ctx, netip.MustParseAddrPort(at), clusterdns.NewAnswerer(z))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// nameServer is this test binary as one.
func nameServer() Cmd {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, childVar) }) // also in a child
	return Cmd{Path: "/proc/self/exe", Env: append(env, childEnv("dns", "", "")...)}
}

// cluster makes a lab with a client pod, the pods named and a service s of them
// all, and a name server.
func cluster(t *testing.T, pods ...string) *Lab {
	t.Helper()
	spec := twoPods("t")
	spec.Hosts = []Host{{Name: "client"}}
	spec.Services[0].Pods = nil
	for _, p := range pods {
		spec.Hosts = append(spec.Hosts, Host{Name: p})
	}
	spec.Services = append(spec.Services[1:], Service{Name: "s", Ports: []ServicePort{{Port: 80, Target: 9080}}, Pods: pods})
	l := mustUp(t, spec)
	_, err := l.StartDNS(nameServer(), false)
	require.NoError(t, err)
	return l
}

func serveAll(t *testing.T, l *Lab, pods ...string) {
	t.Helper()
	for _, p := range pods {
		serve(t, l, p, ":9080", p)
	}
}

// A service is found by the names that a pod may use, and its connections are
// spread over its pods with equal chances: chi-square with two degrees of
// freedom is beyond 41.4 once in a billion.
func TestServiceBalances(t *testing.T) {
	l := cluster(t, "a", "b", "c")
	serveAll(t, l, "a", "b", "c")
	for _, name := range []string{"s", "s.default", "s.default.svc", "s.default.svc.cluster.local", "s.default.svc.cluster.local."} {
		require.Len(t, dial(t, l, "client", name+":80", 1), 1, name)
	}
	const n = 3000
	counts := dial(t, l, "client", l.spec.Services[1].IP+":80", n)
	chi := 0.0
	for _, p := range []string{"a", "b", "c"} {
		d := float64(counts[p]) - n/3
		chi += d * d / (n / 3)
	}
	require.Less(t, chi, 41.4, "%v", counts)
}

// A pod reaches itself by way of its service: the node masquerades.
func TestHairpin(t *testing.T) {
	l := cluster(t, "a")
	serveAll(t, l, "a")
	require.Equal(t, map[string]int{"a": 20}, dial(t, l, "a", "s:80", 20))
	require.Equal(t, map[string]int{"a": 1}, dial(t, l, "client", l.IP("a")+":9080", 1), "pods reach each other")
}

// How a connection ends that nobody is there for.
func TestNobodyThere(t *testing.T) {
	l := cluster(t, "a")
	none, ok := l.Service("none.shop")
	require.True(t, ok)
	s, ok := l.Service("s")
	require.True(t, ok)
	_, ok = l.Service("none")
	require.False(t, ok)
	try := func(addr string) error {
		return l.Do("client", func() error {
			c, err := net.DialTimeout("tcp", addr, 20*time.Second)
			if err == nil {
				c.Close()
			}
			return err
		})
	}
	require.ErrorIs(t, try(none.IP+":80"), syscall.ECONNREFUSED, "without endpoints")
	require.ErrorIs(t, try(s.IP+":81"), syscall.ECONNREFUSED, "a port that the service has not")
	require.ErrorIs(t, try(s.IP+":80"), syscall.ECONNREFUSED, "a pod where nobody listens")
	require.Zero(t, synsAgain(t, l, "client"), "nobody waited")
	require.Error(t, l.SetEndpoints("nothing"))
	require.Error(t, l.SetEndpoints("s", "nobody"))
	require.NoError(t, l.SetEndpoints("s"))
	s, _ = l.Service("s")
	require.Empty(t, s.Pods)
	require.ErrorIs(t, try(s.IP+":80"), syscall.ECONNREFUSED)
	r, err := l.Run(t.Context(), "client", Cmd{Path: "/proc/self/exe", Env: append(os.Environ(), childEnv("dial", "nobody:80", "1")...)})
	require.Error(t, err)
	require.Contains(t, r.Stderr, "no such host")
}

// A pod is taken out of its service, and dies, while connections come and go:
// those that it had are lost, and no other.
func TestPodVanishesUnderLoad(t *testing.T) {
	l := cluster(t, "a", "b", "c")
	procs := map[string]*Process{}
	for _, p := range []string{"a", "b", "c"} {
		procs[p] = serve(t, l, p, ":9080", p+" hold")
	}
	s, _ := l.Service("s")
	type held struct {
		net.Conn
		pod string
	}
	open := func() (h held, err error) {
		err = l.Do("client", func() error {
			h.Conn, err = net.DialTimeout("tcp", s.IP+":80", 20*time.Second)
			return err
		})
		if err != nil {
			return h, err
		}
		h.SetDeadline(time.Now().Add(30 * time.Second))
		b := make([]byte, 16)
		n, err := h.Read(b)
		h.pod = strings.TrimSpace(string(b[:n]))
		return h, err
	}
	var before []held
	for range 60 {
		h, err := open()
		require.NoError(t, err)
		t.Cleanup(func() { h.Close() })
		before = append(before, h)
	}
	done := make(chan struct{})
	var failed, late int
	var took = map[string]int{}
	var stop, gone atomic.Bool
	var tried, after atomic.Int64
	go func() { // the load: connections without an end of their own, one after the other
		defer close(done)
		for !stop.Load() {
			was := gone.Load()
			h, err := open()
			tried.Add(1)
			if err != nil {
				failed++
				continue
			}
			h.Close()
			took[h.pod]++
			if was {
				after.Add(1)
				if h.pod == "b" {
					late++
				}
			}
		}
	}()
	more := func(n *atomic.Int64, by int64) {
		from := n.Load()
		require.Eventually(t, func() bool { return n.Load() >= from+by }, 30*time.Second, time.Millisecond)
	}
	more(&tried, 5)
	require.NoError(t, l.SetEndpoints("s", "a", "c"))
	more(&tried, 1) // a connection on its way to b ends, as in a pod's grace period
	gone.Store(true)
	procs["b"].Stop(0)
	more(&after, 10)
	stop.Store(true)
	<-done
	require.Zero(t, failed, "%v", took)
	require.Zero(t, late, "a connection went to b after it was taken out")
	lost := map[string]int{}
	for _, h := range before {
		h.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := h.Write([]byte("x")); err == nil {
			_, err = h.Read(make([]byte, 1))
			if err == nil {
				continue
			}
		}
		lost[h.pod]++
	}
	require.Positive(t, lost["b"])
	require.Equal(t, map[string]int{"b": lost["b"]}, lost, "only b's connections are lost")
	for _, h := range before {
		if h.pod == "b" {
			lost["b"]--
		}
	}
	require.Zero(t, lost["b"], "and all of them")
}

// A pod's programs see its own name and the cluster's name server, as the
// kubelet has it.
func TestPodFiles(t *testing.T) {
	l := cluster(t, "a")
	r, err := l.Run(t.Context(), "a", Cmd{Path: "cat", Args: []string{"/etc/hosts", "/etc/resolv.conf"}})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1 localhost\n::1 localhost\n"+l.IP("a")+" a\n"+
		"search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n", string(r.Stdout))
}

// The name server lives on after Leave, and goes with the lab.
func TestNameServerStays(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	before, alive := snapshot(t), others(t)
	l, err := Up(t.Context(), twoPods("t"))
	require.NoError(t, err)
	p, err := l.StartDNS(nameServer(), true)
	require.NoError(t, err)
	require.NoError(t, l.Leave())
	require.False(t, p.exited())
	require.NoError(t, netns.Do(netns.Name("t", "a"), func() error {
		c, err := net.DialTimeout("tcp", dnsService+":53", 20*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}))
	found, err := Down("t", false, nil)
	require.NoError(t, err)
	require.True(t, found)
	<-p.Done()
	require.Equal(t, before, snapshot(t))
	require.Equal(t, alive, others(t))
}

// A program that is another user has its rights and no more, and uses our files.
func TestUser(t *testing.T) {
	l := cluster(t, "a")
	if !netns.Privileged() || netns.Entered() == "unprivileged" {
		t.Skip("a user namespace of one user has no other")
	}
	r, err := l.Run(t.Context(), "a", Cmd{Path: "/bin/sh", Args: []string{"-c", "id -u; id -g; id -G; grep CapEff /proc/self/status; ip link set eth0 down"}, User: 1337})
	require.Error(t, err)
	require.Equal(t, "1337\n1337\n1337\nCapEff:\t0000000000000002\n", string(r.Stdout))
	require.Contains(t, r.Stderr, "not permitted")
}
