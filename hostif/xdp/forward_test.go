//go:build linux

package xdp

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/hostif/hostiftest"
)

// bench is two hosts with a wire between them: a plain veth, or our two ports.
type testbed struct {
	client, server int // namespaces
	group          *Group
	links          [2]hostif.Link
}

const (
	clientAddr = "10.77.0.1"
	serverAddr = "10.77.0.2"
)

// newTestbed builds it; via is nil for a plain veth.
func newTestbed(t testing.TB, mtu int, via *Config) *testbed {
	t.Helper()
	tb := &testbed{client: newNS(t), server: newNS(t)}
	if via == nil {
		require.NoError(t, addVeth(tb.client, "eth0", tb.server, "eth0", mtu))
	} else {
		nic := newNS(t)
		require.NoError(t, addVeth(tb.client, "eth0", nic, "p0", mtu))
		require.NoError(t, addVeth(tb.server, "eth0", nic, "p1", mtu))
		cfg := *via
		cfg.Ifaces = []Iface{{"p0", nic}, {"p1", nic}}
		tb.group = open(t, cfg)
		tb.links = [2]hostif.Link{tb.group.Links[0], tb.group.Links[1]}
	}
	// Known, so that the flow table is asked for the same places each time.
	for ns, mac := range map[int]string{tb.client: macA, tb.server: macB} {
		require.NoError(t, ethtool.Do(ns, func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			m := datapathtest.MAC(mac)
			return netlink.LinkSetHardwareAddr(l, m[:])
		}))
	}
	address(t, tb.client, "eth0", clientAddr+"/24")
	address(t, tb.server, "eth0", serverAddr+"/24")
	return tb
}

// forward runs a goroutine that passes frames between the two ports until the
// test ends, on one processor; -1 on any.
func (tb *testbed) forward(t testing.TB, cpu int) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the pinned thread ends with it
		if err := pin(cpu); err != nil {
			done <- err
			return
		}
		done <- forwardLoop(tb.links)
	}()
	t.Cleanup(func() {
		require.NoError(t, tb.group.Close())
		require.ErrorIs(t, <-done, net.ErrClosed)
		require.NoError(t, tb.group.Check())
	})
}

// forwardLoop is the least a NIC does: drain both ports, then wait.
func forwardLoop(links [2]hostif.Link) error {
	w := hostif.NewWaiter(links[:])
	frames := make([]*hostif.Frame, 64)
	for {
		idle := true
		for i, l := range links {
			n, err := l.Recv(frames)
			if err != nil {
				return err
			}
			if n > 0 {
				idle = false
				if _, err := links[1-i].Send(frames[:n]); err != nil {
					return err
				}
			}
		}
		if idle {
			if _, err := w.Wait(100 * time.Millisecond); err != nil {
				return err
			}
		}
	}
}

// tcpCounter reads a counter of a namespace's TCP: "InCsumErrors", "RetransSegs".
func tcpCounter(t testing.TB, ns int, name string) int {
	t.Helper()
	value := -1
	require.NoError(t, ethtool.Do(ns, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		var names []string
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if f[0] != "Tcp:" {
				continue
			}
			if names == nil {
				names = f
				continue
			}
			for i := range f {
				if names[i] == name {
					value, err = strconv.Atoi(f[i])
					return err
				}
			}
		}
		return errors.New("no such counter")
	}))
	return value
}

// bulk sends for a time, or so many bytes, and returns what the receiver had of it.
func (tb *testbed) bulk(t testing.TB, d time.Duration, bytes int) peerResult {
	t.Helper()
	sink := startPeer(t, tb.server, peerJob{Role: "sink", Addr: serverAddr + ":5201", CPU: -1})
	source := startPeer(t, tb.client, peerJob{Role: "source", Addr: serverAddr + ":5201", CPU: -1, For: d, Bytes: bytes})
	source()
	res := sink()
	require.NotZero(t, res.Bytes)
	return res
}

// gbit returns Gbit/s of payload.
func (r peerResult) gbit() float64 { return float64(r.Bytes) * 8 / float64(r.Elapsed.Nanoseconds()) }

// pingPong returns the round trip times of one byte over TCP, all on one
// processor.
func (tb *testbed) pingPong(t testing.TB, rounds, cpu int) peerResult {
	t.Helper()
	startPeer(t, tb.server, peerJob{Role: "echo", Addr: serverAddr + ":7", CPU: cpu})
	return startPeer(t, tb.client, peerJob{Role: "ping", Addr: serverAddr + ":7", CPU: cpu, Rounds: rounds})()
}

// Real sockets of two namespaces talk through two ports, with finished sums.
func TestForwardTCP(t *testing.T) {
	needXDP(t)
	for _, tt := range []struct {
		name string
		mtu  int
		cfg  Config
	}{
		{"MTU 1500", 1500, Config{}},
		{"MTU 3498, one 4 KiB chunk", 3498, Config{}},
		{"MTU 9000, several chunks", 9000, Config{}},
		{"sums finished on receive", 1500, Config{RecomputeChecksums: true}},
		{"sums finished on receive, several chunks", 9000, Config{RecomputeChecksums: true}},
		{"few frames", 1500, Config{Frames: 64}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tb := newTestbed(t, tt.mtu, &tt.cfg)
			tb.forward(t, -1)
			rtt := tb.pingPong(t, 200, -1)
			gbit := tb.bulk(t, 300*time.Millisecond, 0).gbit()
			t.Logf("round trip p50 %v, bulk %.2f Gbit/s", rtt.P50, gbit)
			require.Greater(t, gbit, hostiftest.Collapsed, "bulk TCP collapsed")
			for _, ns := range []int{tb.client, tb.server} {
				require.Zero(t, tcpCounter(t, ns, "InCsumErrors"))
			}
			for _, l := range tb.group.Links {
				st := l.Stats()
				t.Logf("%s: %+v", l.Name(), st)
				require.Zero(t, st.TxDropError+st.TxDropSize+st.RxDropBad)
			}
		})
	}
}

// BenchmarkRTT measures a one-byte TCP ping-pong on one processor, interleaved
// with the same over a plain veth.
func BenchmarkRTT(b *testing.B) {
	needXDP(b)
	direct := newTestbed(b, 1500, nil)
	via := newTestbed(b, 1500, &Config{})
	via.forward(b, 0)
	var ratios, d50, v50, v99 []float64
	for b.Loop() {
		for range 5 {
			d, v := direct.pingPong(b, 6000, 0), via.pingPong(b, 6000, 0)
			ratios = append(ratios, float64(v.P50)/float64(d.P50))
			d50, v50 = append(d50, us(d.P50)), append(v50, us(v.P50))
			v99 = append(v99, us(v.P99))
		}
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(d50), "direct-p50-us")
	b.ReportMetric(median(v50), "xdp-p50-us")
	b.ReportMetric(median(v99), "xdp-p99-us")
}

// BenchmarkBulk measures bulk TCP through two ports, nothing pinned.
func BenchmarkBulk(b *testing.B) {
	needXDP(b)
	for _, mtu := range []int{1500, 9000} {
		b.Run("mtu"+strconv.Itoa(mtu), func(b *testing.B) {
			via := newTestbed(b, mtu, &Config{})
			via.forward(b, -1)
			var gbit []float64
			for b.Loop() {
				for range 3 {
					gbit = append(gbit, via.bulk(b, time.Second, 0).gbit())
				}
			}
			b.ReportMetric(median(gbit), "Gbit/s")
			for _, l := range via.group.Links {
				b.Logf("%s %+v", l.Name(), l.Stats())
			}
		})
	}
}
