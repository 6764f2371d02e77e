package replay

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/mem"
	"github.com/meshnic/meshnic/hostif/pcap"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/nictest"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// front is the address that the NIC answers for.
var front = netip.MustParseAddrPort("10.0.0.200:80")

// proxyOf makes a proxy in front of so many servers behind so many clients.
func proxyOf(clients, servers int) func(nic.Origin) (nic.Proxy, error) {
	cl := mesh.Cluster{Name: "all"}
	for i := range servers {
		cl.Endpoints = append(cl.Endpoints, mesh.Endpoint{Address: fmt.Sprintf("10.0.0.%d:80", clients+i+1)})
	}
	cfg := mesh.Config{
		Node: "test", Clusters: []mesh.Cluster{cl},
		Listeners: []mesh.Listener{{
			Name: "front", Address: front.String(), StatPrefix: "front",
			VirtualHosts: []mesh.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "all"}}}},
		}},
	}
	return func(o nic.Origin) (nic.Proxy, error) {
		return offload.New(offload.Config{Mesh: cfg, Conns: o.Conns, Ports: o.Ports, MTU: o.MTU, Clock: sim.Clock{Hz: nic.CoreHz}, Epoch: o.Start, Seed: o.Seed})
	}
}

// live is a NIC between the hosts of a conversation.
type live struct {
	n    *nic.NIC
	far  []*mem.Link
	rx   []*hostif.Frame
	pool *mem.Pool
}

func (l *live) Frame(now time.Duration, port int, frame []byte, out func(int, []byte)) {
	// As on AF_XDP there is room for a longer head where the frame lies.
	data := append(make([]byte, 0, 4096), frame...)
	if _, err := l.far[port].Send([]*hostif.Frame{{Data: data, Mem: l.pool}}); err != nil {
		panic(err)
	}
	l.step(now, out)
}

func (l *live) Due(now time.Duration, out func(int, []byte)) (time.Duration, bool) {
	l.step(now, out)
	return now + 5*time.Millisecond, true
}

func (l *live) step(now time.Duration, out func(int, []byte)) {
	if _, err := l.n.Step(sim.Cycle(now / 4)); err != nil {
		panic(err)
	}
	for port, far := range l.far {
		n, err := far.Recv(l.rx)
		if err != nil {
			panic(err)
		}
		for _, f := range l.rx[:n] {
			out(port, f.Data)
		}
	}
}

// conversed holds a conversation through a NIC that captures, and returns the capture and
// what the NIC has counted.
func conversed(t testing.TB, c *nictest.Conversation) ([]byte, nic.Snapshot) {
	var file bytes.Buffer
	var capture *pcap.Capture
	l := &live{rx: make([]*hostif.Frame, 64), pool: mem.NewPool()}
	_, err := nictest.Run(c, nictest.Setup{
		Card: func(ports int) (nictest.Card, error) {
			origin := nic.Origin{Seed: c.Seed, MTU: 1500, Conns: 256, Ports: ports, Start: time.Unix(1_790_000_000, 0)}
			cfg := nic.DefaultConfig()
			cfg.Program = nic.Offload
			cfg.Pipeline = load(t, nic.OffloadPipeline)
			var names []string
			var nicPorts []nic.Port
			for i := range ports {
				far, near := mem.Pipe(1024, mem.WithPool(l.pool))
				names = append(names, fmt.Sprint("p", i))
				l.far = append(l.far, far)
				nicPorts = append(nicPorts, nic.Port{Name: names[i], Link: near})
			}
			var err error
			if capture, err = pcap.NewCapture(&file, append(names, nic.OwnFrames), origin.Start, origin.String()); err != nil {
				return nil, err
			}
			cfg.Capture = capture
			if cfg.Proxy, err = proxyOf(len(c.Clients), len(c.Servers))(origin); err != nil {
				return nil, err
			}
			l.n, err = nic.New(cfg, nicPorts)
			return l, err
		},
		To:         func(int) netip.AddrPort { return front },
		Neighbours: map[netip.Addr]wire.MAC{front.Addr(): offload.MAC},
		After:      3 * time.Second,
	})
	require.NoError(t, err)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, l.n.Run(over, nic.RunOptions{})) // counts what waits
	for _, far := range l.far {
		require.NoError(t, far.Close())
	}
	require.NoError(t, capture.Close())
	return file.Bytes(), l.n.Counters()
}

// keepAlive is a conversation without faults.
func keepAlive(seed uint64) *nictest.Conversation {
	c := nictest.Random(seed)
	for _, hosts := range [][]nictest.HostConfig{c.Clients, c.Servers} {
		for i := range hosts {
			hosts[i].MTU = 1500
		}
	}
	for i := range c.Connections {
		if k := &c.Connections[i]; k.End == nictest.EndServer {
			k.End = nictest.EndAnswered
		}
	}
	return c
}

// A capture of conversations through the NIC's proxy, with losses, resets and timers, has the
// live figures with either engine.
func TestProxiedCaptureHasTheLiveFigures(t *testing.T) {
	requests, own := uint64(0), uint64(0)
	for seed := uint64(1); seed <= 12; seed++ {
		c := keepAlive(seed)
		file, snap := conversed(t, c)
		m := snap.ModelNS
		require.NotNil(t, m)
		require.Zero(t, m.Behind+m.Untimed)
		for _, engine := range []string{"tick", "maxplus"} {
			r := run(t, file, Options{Engine: engine, Pipeline: load(t, nic.OffloadPipeline), Proxy: proxyOf(len(c.Clients), len(c.Servers))})
			require.Zero(t, r.Diverged, "seed %d", seed)
			require.Equal(t, m.Frames, r.Carried.Frames, "seed %d", seed)
			require.Equal(t, snap.Counters["proxy.splice.exchanges"], r.Requests)
			require.InDelta(t, m.Sum, r.Latency.MeanNs*float64(m.Frames), 1e-3, "seed %d, %s", seed, engine)
			require.True(t, r.Finished)
		}
		if m.Requests != nil {
			requests += m.Requests.N
		}
		for _, x := range m.Crossings {
			if x.In == nic.OwnFrames {
				own += x.Frames
			}
		}
	}
	require.Greater(t, requests, uint64(20))
	require.NotZero(t, own)
}

// hop is connections that are kept, each with so many requests for 198 bytes, as bench hop
// has them.
func hop(connections, requests int) *nictest.Conversation {
	c := &nictest.Conversation{Seed: 3, Clients: make([]nictest.HostConfig, 1), Servers: make([]nictest.HostConfig, 1)}
	for range connections {
		var k nictest.Connection
		for range requests {
			k.Exchanges = append(k.Exchanges, nictest.Exchange{Answer: nictest.Answer{Body: 198}})
		}
		c.Connections = append(c.Connections, k)
	}
	return c
}

// A capture of the NIC's proxy's traffic, replayed faster and faster, is carried without a loss
// at more than a million requests a second.
func TestAMillionRequestsOfACapture(t *testing.T) {
	file, snap := conversed(t, hop(8, 60))
	require.Equal(t, uint64(480), snap.Counters["proxy.splice.exchanges"])
	proxy := proxyOf(1, 1)
	best := 0.0
	for gap := sim.Picos(400_000); ; gap = gap * 9 / 10 { // from a frame to the next
		r := run(t, file, Options{Pipeline: load(t, nic.OffloadPipeline), Proxy: proxy, Pace: Pace{Gap: gap}})
		require.Equal(t, uint64(480), r.Requests, "what is decided does not hang on the pace")
		if r.Dropped > r.ProgramDrops {
			break // the card is saturated
		}
		best = max(best, float64(r.Requests)/(float64(r.Carried.LastNs-r.Carried.FirstNs)/1e12))
	}
	require.Greater(t, best, 1e6)
	t.Logf("%.2f M requests/s", best/1e6)
}
