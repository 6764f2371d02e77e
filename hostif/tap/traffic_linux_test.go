package tap_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/fault"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/packet"
	"github.com/meshnic/meshnic/hostif/segment"
	"github.com/meshnic/meshnic/hostif/tap"
)

// host is a namespace with one interface, whose other side is a link.
type host struct {
	ns   int
	link hostif.Link
}

// onTAP is a host that has a TAP interface for a network card.
func onTAP(t *testing.T, addr string, cfg tap.Config) host {
	cfg.NS = hostiftest.NewNS(t)
	l := open(t, cfg)
	hostiftest.SetUp(t, cfg.NS, l.Name(), addr)
	return host{cfg.NS, l}
}

// onVeth is a host on a veth, whose other end a packet link holds.
func onVeth(t *testing.T, addr string, cfg packet.Config) host {
	ns := hostiftest.NewNS(t)
	cfg.Name, cfg.NS = "far", hostiftest.NewNS(t)
	hostiftest.Veth(t, ns, "eth0", cfg.NS, cfg.Name, 1500)
	hostiftest.SetUp(t, ns, "eth0", addr)
	l, err := packet.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return host{ns, l}
}

const client, server = "10.9.0.1", "10.9.0.2"

// TCP goes through every pair of kinds, and no receiver ever sees a bad sum.
func TestTCP(t *testing.T) {
	kinds := []struct {
		name string
		open func(t *testing.T, addr string) host
	}{
		{"tap", func(t *testing.T, a string) host { return onTAP(t, a, tap.Config{}) }},
		{"tap finished", func(t *testing.T, a string) host { return onTAP(t, a, tap.Config{NoOffload: true}) }},
		{"packet", func(t *testing.T, a string) host { return onVeth(t, a, packet.Config{}) }},
		{"packet finished", func(t *testing.T, a string) host { return onVeth(t, a, packet.Config{NoOffload: true}) }},
	}
	for _, a := range kinds {
		for _, b := range kinds {
			t.Run(a.name+" to "+b.name, func(t *testing.T) {
				ha, hb := a.open(t, client+"/24"), b.open(t, server+"/24")
				hostiftest.Forward(t, ha.link, hb.link, segment.Finish)
				hostiftest.TCP(t, ha.ns, hb.ns, server+":0", 8<<20)
				require.Zero(t, hostiftest.Snmp(t, ha.ns, "Tcp", "InCsumErrors"))
				require.Zero(t, hostiftest.Snmp(t, hb.ns, "Tcp", "InCsumErrors"))
				for _, l := range []hostif.Link{ha.link, hb.link} {
					require.Zero(t, l.Stats().RxDropBad)
					require.Zero(t, l.Stats().TxDropError)
					require.Zero(t, l.Stats().TxDropSize)
				}
			})
		}
	}
}

// A jumbo superframe is more than 1500 bytes a segment.
func TestJumboTCP(t *testing.T) {
	a, b := onTAP(t, client+"/24", tap.Config{MTU: 9000}), onTAP(t, server+"/24", tap.Config{MTU: 9000, NoOffload: true})
	hostiftest.Forward(t, a.link, b.link, segment.Finish)
	hostiftest.TCP(t, a.ns, b.ns, server+":0", 8<<20)
}

// The stream survives everything that a bad wire does, and each fault happened.
func TestTCPThroughFaults(t *testing.T) {
	cfg, err := fault.Parse("loss=1%,dup=1%,reorder=1%,corrupt=0.2%,delay=200us,jitter=100us,seed=7")
	require.NoError(t, err)
	a, b := onTAP(t, client+"/24", tap.Config{}), onTAP(t, server+"/24", tap.Config{})
	fa, fb := fault.Wrap(a.link, cfg, time.Now), fault.Wrap(b.link, cfg, time.Now)
	stop := hostiftest.Forward(t, fa, fb, segment.Finish)
	hostiftest.TCP(t, a.ns, b.ns, server+":0", 4<<20)
	stop()
	c := fa.Faults()
	t.Logf("%+v", c)
	require.NotZero(t, c.Lost)
	require.NotZero(t, c.Duplicated)
	require.NotZero(t, c.Reordered)
	require.NotZero(t, c.Corrupted)
	require.NotZero(t, hostiftest.Snmp(t, a.ns, "Tcp", "InCsumErrors")+hostiftest.Snmp(t, b.ns, "Tcp", "InCsumErrors"),
		"no receiver noticed the corruption")
}

// TestIperf measures; how much that is says whether TCP works, not how quick the
// machine is. MESHNIC_PERF=1 asks for the project's target.
func TestIperf(t *testing.T) {
	if testing.Short() {
		t.Skip("2 s a pair")
	}
	run := func(name string, target float64, a, b func(t *testing.T, addr string) host) {
		t.Run(name, func(t *testing.T) {
			ha, hb := a(t, client+"/24"), b(t, server+"/24")
			hostiftest.Forward(t, ha.link, hb.link, segment.Finish)
			g := hostiftest.Iperf(t, ha.ns, hb.ns, server, 2)
			t.Logf("%.1f Gbit/s; client side %+v", g, ha.link.Stats())
			t.Logf("server side %+v", hb.link.Stats())
			require.Greater(t, g, hostiftest.Collapsed)
			if os.Getenv("MESHNIC_PERF") == "1" {
				require.Greater(t, g, target)
			}
			if s := ha.link.Stats(); ha.link.Offloads() { // a quick machine is not what TSO is known by
				require.Greater(t, s.RxBytes, s.RxFrames*5*1514, "the sender's segments come unsegmented")
			}
			require.Zero(t, hostiftest.Snmp(t, hb.ns, "Tcp", "InCsumErrors"))
		})
	}
	onT := func(cfg tap.Config) func(*testing.T, string) host {
		return func(t *testing.T, a string) host { return onTAP(t, a, cfg) }
	}
	onP := func(cfg packet.Config) func(*testing.T, string) host {
		return func(t *testing.T, a string) host { return onVeth(t, a, cfg) }
	}
	run("tap", 8, onT(tap.Config{}), onT(tap.Config{}))
	run("packet", .5, onP(packet.Config{}), onP(packet.Config{}))
	// What net.core.rmem_max of a stock kernel leaves to an unprivileged user.
	stock := packet.Config{RecvBuffer: 2 * 212992}
	run("packet with stock buffers", .5, onP(stock), onP(stock))
	run("tap finished", .1, onT(tap.Config{NoOffload: true}), onT(tap.Config{NoOffload: true}))
	run("packet finished", .1, onP(packet.Config{NoOffload: true}), onP(packet.Config{NoOffload: true}))
}
