package offload_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/tap"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/conformance"
	"github.com/meshnic/meshnic/proxy/envoyconf"
)

// Addresses of the network.
const (
	proxyIP  = "10.9.0.1" // nobody's but the NIC's
	clientIP = "10.9.0.2"
	serverIP = "10.9.0.3"
	nobodyIP = "10.9.0.99"
)

// bench is a client and servers, each in a network namespace of its own, with a NIC
// between them.
type bench struct {
	client, server int
	nic            *nic.NIC
}

// side is how one host is connected.
type side struct {
	mtu  int                           // 0: 1500
	wrap func(hostif.Link) hostif.Link // its link; nil: as it is
}

// newBench makes the namespaces and, with a port in each, the NIC's links; start
// puts a proxy on it.
func newBench(t *testing.T) (b *bench, start func(cfg offload.Config) *offload.Offload) {
	return newBenchOf(t, side{}, side{})
}

func newBenchOf(t *testing.T, client, server side) (b *bench, start func(cfg offload.Config) *offload.Offload) {
	t.Helper()
	b = &bench{client: hostiftest.NewNS(t), server: hostiftest.NewNS(t)}
	var ports []nic.Port
	for _, p := range []struct {
		name, ip string
		ns       int
		side
	}{{"client", clientIP, b.client, client}, {"server", serverIP, b.server, server}} {
		l, err := tap.Open(tap.Config{NS: p.ns, MTU: p.mtu})
		hostiftest.NeedNet(t, func() error { return err })
		var link hostif.Link = l
		if p.wrap != nil {
			link = p.wrap(l)
		}
		t.Cleanup(func() { _ = link.Close() })
		hostiftest.SetUp(t, p.ns, l.Name(), p.ip+"/24")
		ports = append(ports, nic.Port{Name: p.name, Link: link})
	}
	return b, func(cfg offload.Config) *offload.Offload {
		t.Helper()
		cfg.Conns, cfg.Ports, cfg.Clock, cfg.Epoch, cfg.Seed = 1<<14, len(ports), sim.Clock{Hz: nic.CoreHz}, time.Now(), 1
		o, err := offload.New(cfg)
		require.NoError(t, err)
		c := nic.DefaultConfig()
		c.Program, c.Pipeline, c.Proxy = nic.Offload, nil, o
		b.nic, err = nic.New(c, ports)
		require.NoError(t, err)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- b.nic.Run(ctx, nic.RunOptions{}) }()
		t.Cleanup(func() {
			stop()
			require.NoError(t, <-done)
			o.Close()
		})
		return o
	}
}

// dial connects from the client's namespace.
func (b *bench) dial(t testing.TB, addr string) (c net.Conn, err error) {
	hostiftest.In(t, b.client, func() { c, err = net.DialTimeout("tcp", addr, 30*time.Second) })
	return c, err
}

// listen listens in the servers' namespace.
func (b *bench) listen(t testing.TB) (ln net.Listener, err error) {
	hostiftest.In(t, b.server, func() { ln, err = net.Listen("tcp", serverIP+":0") })
	return ln, err
}

// stats are the proxy's counters.
func (b *bench) stats(t testing.TB) map[string]uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := b.nic.Snapshot(ctx)
	require.NoError(t, err)
	out := map[string]uint64{}
	for name, v := range s.Counters {
		if name, ok := strings.CutPrefix(name, "proxy."); ok {
			out[name] = v
		}
	}
	return out
}

// TestConformance holds the conversations that the sidecar and Envoy are held to with
// a NIC between client and servers. What is not as with the sidecar is in the cases'
// files, with the reason.
func TestConformance(t *testing.T) {
	all := conformance.Load(t, filepath.Join("..", "..", "proxy", "conformance", "testdata"))
	seen := conformance.Again(all, func(some []conformance.Case, _ time.Duration) [][]string { return hold(t, some) }, func(c conformance.Case, seen []string) bool {
		return conformance.Updating() || c.Agrees(conformance.NIC, seen)
	})
	for i := range all {
		c := &all[i]
		t.Run(c.Name, func(t *testing.T) {
			c.Compare(t, map[conformance.Proxy][]string{conformance.NIC: seen[i]})
		})
	}
}

// hold holds the cases through a NIC.
func hold(t *testing.T, all []conformance.Case) [][]string {
	b, start := newBench(t)
	n := &conformance.Network{
		Dial:   func(addr string) (net.Conn, error) { return b.dial(t, addr) },
		Listen: func() (net.Listener, error) { return b.listen(t) },
		Hole:   nobodyIP + ":80", Dead: serverIP,
		Hosts: regexp.MustCompile(`10\.9\.0\.\d+`),
	}
	var addrs []string
	for i := range len(all) + conformance.Behind(t, all) {
		addrs = append(addrs, fmt.Sprintf("%s:%d", proxyIP, 2000+i))
	}
	w := conformance.New(t, all, n, addrs[:len(all)], addrs[len(all):], "")
	cfg, err := envoyconf.Read(w.File, "cases.yaml")
	require.NoError(t, err)
	for i := range cfg.Listeners {
		cfg.Listeners[i].ConnLogs = nil // with which a listener falls back
	}
	start(offload.Config{Mesh: cfg, LogFlush: 20 * time.Millisecond})
	seen := w.Play(func(i int) string { return addrs[i] })
	counts := conformance.Settled(t, func() map[string]uint64 { return b.stats(t) })
	w.Fill(t, seen, counts, counts)
	return seen
}
