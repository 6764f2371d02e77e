//go:build linux

package xdp

import (
	"math/rand/v2"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
)

// observer forwards as the smallest NIC does, has the host carry what it can, and
// keeps what it is told of it.
type observer struct {
	tb      *testbed
	deaf    atomic.Bool // does not ask for copies
	order   bool        // per port, no copy is older than one before it
	slow    [2]uint64   // TCP that was not carried
	carried [2]struct {
		frames, payload uint64
		age             time.Duration // of the last one of this time
	}
	counts chan map[string]uint64
}

// observe runs an observer until the test ends.
func (tb *testbed) observe(t *testing.T) *observer {
	t.Helper()
	o := &observer{tb: tb, order: true, counts: make(chan map[string]uint64)}
	require.NotNil(t, tb.group.FlowTable())
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- o.loop(t)
	}()
	t.Cleanup(func() {
		require.NoError(t, tb.group.Close())
		require.ErrorIs(t, <-done, net.ErrClosed)
		require.NoError(t, tb.group.Check())
		require.Zero(t, tb.group.FlowTable().Carried(1, nil), "closed")
	})
	return o
}

func (o *observer) loop(t *testing.T) error {
	links, table := o.tb.links, o.tb.group.FlowTable()
	w := hostif.NewWaiter(links[:])
	defer w.Close()
	frames := make([]*hostif.Frame, 64)
	for {
		if !o.deaf.Load() {
			for more := true; more; {
				o.carried[0].age, o.carried[1].age = time.Hour, time.Hour
				more = table.Carried(64, o.see) == 64
			}
		}
		select {
		case o.counts <- o.count(table):
		default:
		}
		moved := 0
		for i, l := range links {
			n, err := l.Recv(frames)
			if err != nil {
				return err
			}
			moved += n
			for _, f := range frames[:n] {
				if e, ok := flowOf(i, f.Data); ok {
					o.slow[i]++
					if !table.Learn(i, 1-i, f.Data) {
						t.Errorf("not learned: %+v", e)
					}
				}
			}
			if _, err := links[1-i].Send(frames[:n]); err != nil {
				return err
			}
		}
		if moved == 0 {
			if _, err := w.Wait(5 * time.Millisecond); err != nil {
				return err
			}
		}
	}
}

func (o *observer) see(c hostif.CarriedFrame) {
	p := &o.carried[c.In]
	o.order = o.order && c.Out == 1-c.In && c.Age <= p.age
	p.frames, p.age = p.frames+1, c.Age
	p.payload += uint64(len(c.Data) - offPorts - int(c.Data[offPorts+12]>>4*4))
}

func (o *observer) count(table hostif.FlowTable) map[string]uint64 {
	c := map[string]uint64{"order": 0}
	table.Count(c)
	if o.order {
		c["order"] = 1
	}
	for i, name := range []string{"a", "b"} {
		c[name+".frames"], c[name+".payload"] = o.carried[i].frames, o.carried[i].payload
		c[name+".slow"] = o.slow[i]
	}
	return c
}

// await returns the first counts that are as they should be.
func (o *observer) await(t *testing.T, enough func(c map[string]uint64) bool) (c map[string]uint64) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		if c = <-o.counts; enough(c) {
			return c
		}
		require.True(t, time.Now().Before(end), "%v", c)
	}
}

// The kernel carries what comes behind the first frame each way, the SYNs of other
// connections too, and what is seen of it adds up to what was sent.
func TestFlowTableCarries(t *testing.T) {
	needXDP(t)
	tb := newTestbed(t, 1500, &Config{FlowTable: true})
	o := tb.observe(t)
	tb.pingPong(t, 500, -1)
	sent := tb.bulk(t, 0, 8<<20) // for whose copies there is room, whenever they are looked at
	c := o.await(t, func(c map[string]uint64) bool {
		return c["a.payload"] >= uint64(500+sent.Bytes) && c["b.payload"] >= 500
	})
	t.Logf("bulk %.2f Gbit/s; %v", sent.gbit(), c)
	require.EqualValues(t, 2, c["flow_table.learned"])
	require.EqualValues(t, 1, c["order"])
	require.Zero(t, c["flow_table.unseen"]+c["flow_table.refused"])
	require.EqualValues(t, c["a.frames"]+c["b.frames"], c["flow_table.carried"])
	require.Equal(t, [2]uint64{1, 1}, [2]uint64{c["a.slow"], c["b.slow"]}, "but for the first SYN each way all of TCP is carried")
	for _, ns := range []int{tb.client, tb.server} {
		require.Zero(t, tcpCounter(t, ns, "InCsumErrors"))
	}
}

// Where nobody looks at the copies, the traffic goes on, and what is not seen is
// counted.
func TestFlowTableUnseen(t *testing.T) {
	needXDP(t)
	tb := newTestbed(t, 1500, &Config{FlowTable: true})
	o := tb.observe(t)
	o.deaf.Store(true)
	const room = ringBytes / int(recordBytes+8)
	tb.bulk(t, 0, 1500*(room+10_000)) // in more frames than there is room for copies of
	require.NotZero(t, (<-o.counts)["flow_table.unseen"])
	o.deaf.Store(false)
	tb.pingPong(t, 10, -1)
	c := o.await(t, func(c map[string]uint64) bool { return c["b.payload"] >= 10 })
	require.Greater(t, c["flow_table.carried"], uint64(room/2))
	require.EqualValues(t, 1, c["order"])
}

// From enum xdp_action (linux/bpf.h).
const (
	xdpAborted  = 0
	xdpRedirect = 4
)

// run has a port's program decide about a frame. Without a socket it leaves to the
// kernel what it does not carry.
func run(t testing.TB, l *Link, frame []byte) uint32 {
	t.Helper()
	if err := l.prog.socks.Delete(uint32(0)); err != nil {
		require.ErrorIs(t, err, ebpf.ErrKeyNotExist)
	}
	action, err := l.prog.prog.Run(&ebpf.RunOptions{Data: frame})
	require.NoError(t, err)
	return action
}

const macA, macB = "02:00:00:00:00:0a", "02:00:00:00:00:0b"

// request is a frame to A.
func request(from string) []byte {
	return datapathtest.Eth(macA, from).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "PA").Payload("GET / HTTP/1.1\r\n\r\n")
}

// What the program carries, and what it leaves to the socket, is what flowOf says,
// for any frame. There is no socket here: the kernel gets those.
func FuzzFlowProgram(f *testing.F) {
	needXDP(f)
	tb := newTestbed(f, 1500, &Config{FlowTable: true})
	t := tb.group.flows
	require.NotNil(f, t)
	known := request(macB)
	require.True(f, t.Learn(0, 1, known))
	entry, _ := flowOf(0, known)

	f.Add([]byte{}, uint16(0))
	f.Add(known, uint16(len(known)))
	for _, other := range []datapathtest.Frame{
		datapathtest.Eth(macA, macB).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S"),
		datapathtest.Eth(macA, macB).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "FA"),
		datapathtest.Eth(macA, macB).IPv4("10.0.0.1", "10.0.0.2").UDP(4000, 80),
		datapathtest.Eth(macA, macB).IPv4("10.0.0.1", "10.0.0.2").TCP(4001, 80, "A"),
		datapathtest.Eth("02:00:00:00:00:0c", macB).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "A"),
	} {
		f.Add([]byte(other), uint16(1514))
	}
	for i := range known { // a byte changed, wherever that is
		b := append([]byte(nil), known...)
		b[i] ^= 0x40
		f.Add(b, uint16(len(b)))
	}
	f.Fuzz(func(tt *testing.T, b []byte, size uint16) {
		frame := make([]byte, max(14, len(b), min(int(size), 1600)))
		copy(frame, b)
		if len(frame) > 3000 {
			return
		}
		e, ok := flowOf(0, frame)
		want := ok && e.same(&entry) && len(frame) <= 1514
		require.Equal(tt, want, run(tt, tb.group.Links[0], frame) == xdpRedirect)
		seen := t.Carried(2, func(c hostif.CarriedFrame) {
			require.Equal(tt, [3]int{0, 1, len(frame)}, [3]int{c.In, c.Out, len(c.Data)})
			head := min(len(frame), copyBytes)
			require.Equal(tt, frame[:head], c.Data[:head])
		})
		require.Equal(tt, want, seen == 1)
	})
}

// Two pairs of addresses that have the same place: the second gets it when the first
// has had no frame between two of its requests.
func TestFlowTablePlaces(t *testing.T) {
	needXDP(t)
	tb := newTestbed(t, 1500, &Config{FlowTable: true})
	table := tb.group.flows
	first := request(macB)
	var second []byte
	for r := rand.New(rand.NewPCG(1, 1)); second == nil; {
		mac := net.HardwareAddr{2, 0, 0, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
		b := request(mac.String())
		if flowPlace(b) == flowPlace(first) {
			second = b
		}
	}
	carries := func(frame []byte) bool { return run(t, tb.group.Links[0], frame) == xdpRedirect }
	require.True(t, table.Learn(0, 1, first))
	require.True(t, table.Learn(0, 1, first), "again")
	require.False(t, table.Learn(0, 1, second))
	require.True(t, carries(first))
	require.False(t, table.Learn(0, 1, second), "the first is in use")
	require.True(t, table.Learn(0, 1, second))
	require.True(t, carries(second))
	require.False(t, carries(first))
	table.Forget(0, first)
	require.True(t, carries(second), "what is not there cannot be forgotten")
	table.Forget(1, second)
	require.True(t, carries(second), "of another port")
	table.Forget(0, second)
	require.False(t, carries(second))
	c := map[string]uint64{}
	table.Count(c)
	require.Equal(t, [4]uint64{2, 1, 2, 1}, [4]uint64{c["flow_table.learned"], c["flow_table.replaced"], c["flow_table.refused"], c["flow_table.forgotten"]})

	require.False(t, table.Learn(0, 1, []byte(datapathtest.Eth(macA, macB).IPv4("10.0.0.1", "10.0.0.2").UDP(1, 2))))
	long := append(request("02:00:00:00:00:0c"), make([]byte, 1500)...)
	require.False(t, table.Learn(0, 1, long), "longer than the MTU of its way out")
	require.True(t, table.Learn(0, 1, request("02:00:00:00:00:0c")))
	require.False(t, carries(long))
	require.True(t, carries(request("02:00:00:00:00:0c")))
}

// Where the table cannot be, that is said, and frames go as they always did.
func TestFlowTableRefused(t *testing.T) {
	needXDP(t)
	for name, cfg := range map[string]struct {
		mtu int
		Config
	}{
		"MTU":  {9000, Config{FlowTable: true}},
		"sums": {1500, Config{FlowTable: true, RecomputeChecksums: true}},
	} {
		t.Run(name, func(t *testing.T) {
			said := ""
			cfg.Log = func(format string, args ...any) { said += format }
			tb := newTestbed(t, cfg.mtu, &cfg.Config)
			require.Nil(t, tb.group.FlowTable())
			require.Contains(t, said, "no flow table")
			tb.forward(t, -1)
			tb.pingPong(t, 20, -1)
		})
	}
}

// The peers' GRO, which it needs, is as it was when the links are closed.
func TestFlowTableSettings(t *testing.T) {
	needXDP(t)
	tb := newTestbed(t, 1500, nil)
	nic := newNS(t)
	require.NoError(t, addVeth(tb.client, "c", nic, "p0", 1500))
	require.NoError(t, addVeth(tb.server, "s", nic, "p1", 1500))
	p, err := ethtool.FindPeer(nic, "p0")
	require.NoError(t, err)
	before, err := p.Features()
	require.NoError(t, err)
	require.False(t, before["rx-gro"].Active)
	g := open(t, Config{FlowTable: true, Ifaces: []Iface{{"p0", nic}, {"p1", nic}}})
	f, err := p.Features()
	require.NoError(t, err)
	require.True(t, f["rx-gro"].Active)
	require.NoError(t, g.Close())
	f, err = p.Features()
	require.NoError(t, err)
	require.Equal(t, before, f)
}

// To a port whose link is closed nothing is learned, and what still comes for it is
// lost, as it is on any NIC.
func TestFlowTableLinkClosed(t *testing.T) {
	needXDP(t)
	g, frame := newTestbed(t, 1500, &Config{FlowTable: true}).group, request(macB)
	require.True(t, g.flows.Learn(0, 1, frame))
	g.flows.device[1].was -= 3 // as if it had dropped as many since
	require.NoError(t, g.Links[1].Close())
	counted := map[string]uint64{}
	g.flows.Count(counted)
	require.EqualValues(t, 3, counted["flow_table.lost"], "no counter goes back")
	require.False(t, g.flows.Learn(1, 0, frame))
	require.False(t, g.flows.Learn(0, 1, request("02:00:00:00:00:0c")))
	require.EqualValues(t, xdpAborted, run(t, g.Links[0], frame))
	require.Equal(t, 1, g.flows.Carried(2, func(hostif.CarriedFrame) {}))
	require.Zero(t, g.Links[1].Stats().TxFrames)
}
