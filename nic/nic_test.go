package nic

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	macA = "02:00:00:00:00:0a"
	macB = "02:00:00:00:00:0b"
	macC = "02:00:00:00:00:0c"
	all  = "ff:ff:ff:ff:ff:ff"
)

// device is a NIC with the far end of each port in the test's hands.
type device struct {
	*NIC
	t   *testing.T
	far map[string]hostif.Link
	now sim.Cycle
}

func newDevice(t *testing.T, cfg Config, ports ...string) *device {
	t.Helper()
	d := &device{t: t, far: map[string]hostif.Link{}}
	var list []Port
	for _, name := range ports {
		near, far := mem.Pipe(256)
		t.Cleanup(func() { near.Close(); far.Close() })
		list = append(list, Port{name, near})
		d.far[name] = far
	}
	n, err := New(cfg, list)
	require.NoError(t, err)
	d.NIC = n
	return d
}

// send puts frames on a port's wire, runs the NIC, and returns what came out,
// by port.
func (d *device) send(port string, frames ...[]byte) map[string][][]byte {
	d.t.Helper()
	var list []*hostif.Frame
	for _, f := range frames {
		list = append(list, &hostif.Frame{Data: append([]byte(nil), f...)})
	}
	return d.sendFrames(port, list...)
}

func (d *device) sendFrames(port string, frames ...*hostif.Frame) map[string][][]byte {
	d.t.Helper()
	n, err := d.far[port].Send(frames)
	require.NoError(d.t, err)
	require.Equal(d.t, len(frames), n)
	for moved := 1; moved > 0; {
		d.now++
		moved, err = d.Step(d.now)
		require.NoError(d.t, err)
	}
	out := map[string][][]byte{}
	for name, link := range d.far {
		buf := make([]*hostif.Frame, 64)
		for {
			got, err := link.Recv(buf)
			require.NoError(d.t, err)
			if got == 0 {
				break
			}
			for _, f := range buf[:got] {
				out[name] = append(out[name], append([]byte(nil), f.Data...))
			}
		}
	}
	return out
}

func (d *device) count(name string) uint64 {
	d.t.Helper()
	v, ok := d.Counters().Counters[name]
	require.True(d.t, ok, "there is no counter %q", name)
	return v
}

func tcpFrame(dst, src string) []byte {
	return datapathtest.Eth(dst, src).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "PA").Payload("GET / HTTP/1.1\r\n\r\n")
}

func TestUnknownDestinationIsFloodedAndLearnedOneIsNot(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b", "c")
	f := tcpFrame(macB, macA)
	require.Equal(t, map[string][][]byte{"b": {f}, "c": {f}}, d.send("a", f), "unknown: everywhere but back")
	back := tcpFrame(macA, macB)
	require.Equal(t, map[string][][]byte{"a": {back}}, d.send("b", back), "A was learned on a")
	require.Equal(t, map[string][][]byte{"b": {f}}, d.send("a", f), "B was learned on b")
	require.EqualValues(t, 1, d.count("flooded"))
	require.EqualValues(t, 3, d.count("forwarded"))
}

func TestBroadcastGoesEverywhere(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b", "c")
	arp := []byte(datapathtest.Eth(all, macA).ARP(1, macA, "10.0.0.1", "00:00:00:00:00:00", "10.0.0.2"))
	require.Equal(t, map[string][][]byte{"b": {arp}, "c": {arp}}, d.send("a", arp))
	require.Equal(t, map[string][][]byte{"b": {arp}, "c": {arp}}, d.send("a", arp), "also when the sender is known")
}

func TestAStationThatMovesIsFollowed(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b", "c")
	d.send("a", tcpFrame(all, macA))
	d.send("c", tcpFrame(all, macA))
	f := tcpFrame(macA, macB)
	require.Equal(t, map[string][][]byte{"c": {f}}, d.send("b", f))
}

func TestStaticEntryIsNotLearnedOver(t *testing.T) {
	cfg := DefaultConfig()
	e, err := ParseStatic(macA + "=a")
	require.NoError(t, err)
	cfg.Static = []StaticMAC{e}
	d := newDevice(t, cfg, "a", "b", "c")
	d.send("c", tcpFrame(all, macA))
	f := tcpFrame(macA, macB)
	require.Equal(t, map[string][][]byte{"a": {f}}, d.send("b", f))
}

func TestStaticEntryForAPortThatIsNotThere(t *testing.T) {
	a, _ := mem.Pipe(1)
	b, _ := mem.Pipe(1)
	defer a.Close()
	defer b.Close()
	cfg := DefaultConfig()
	cfg.Static = []StaticMAC{{MAC: datapathtest.MAC(macA), Port: "z"}}
	_, err := New(cfg, []Port{{"a", a}, {"b", b}})
	require.ErrorContains(t, err, `no port is named "z"`)
}

func TestHairpin(t *testing.T) {
	for _, hairpin := range []bool{false, true} {
		cfg := DefaultConfig()
		cfg.Hairpin = hairpin
		d := newDevice(t, cfg, "a", "b")
		d.send("a", tcpFrame(all, macA), tcpFrame(all, macB))
		f := tcpFrame(macB, macA)
		out := d.send("a", f)
		if hairpin {
			require.Equal(t, map[string][][]byte{"a": {f}}, out)
		} else {
			require.Empty(t, out)
			require.EqualValues(t, 1, d.count("drop.no_egress"))
		}
	}
}

func TestVLANsAreLearnedApart(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b", "c")
	tagged := func(dst, src string, vlan uint16) []byte {
		return datapathtest.Eth(dst, src).VLAN(vlan).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "S")
	}
	d.send("a", tagged(all, macA, 5))
	f5, f6 := tagged(macA, macB, 5), tagged(macA, macB, 6)
	require.Equal(t, map[string][][]byte{"a": {f5}}, d.send("b", f5))
	require.Equal(t, map[string][][]byte{"a": {f6}, "c": {f6}}, d.send("b", f6), "A is not known in VLAN 6")
}

func TestLossesAreCountedByReason(t *testing.T) {
	good := datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A").Payload("x")
	for _, tt := range []struct {
		counter string
		frame   []byte
	}{
		{"drop.ip_checksum", good.BadIPChecksum()},
		{"drop.l4_checksum", good.BadL4Checksum()},
		{"drop.ip_length", good.TotalLen(1400)},
		{"drop.tcp_header_len", good.DataOffset(2)},
		{"drop.source_mac", tcpFrame(macB, "01:00:5e:00:00:01")},
	} {
		t.Run(tt.counter, func(t *testing.T) {
			d := newDevice(t, DefaultConfig(), "a", "b")
			require.Empty(t, d.send("a", tt.frame))
			require.EqualValues(t, 1, d.count(tt.counter))
			require.EqualValues(t, 1, d.count("packets"))
			require.EqualValues(t, 0, d.count("forwarded"))
		})
	}
}

func TestWrongChecksumsPassWhenAsked(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SkipChecksums = true
	d := newDevice(t, cfg, "a", "b")
	f := []byte(datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A").Payload("x").BadL4Checksum())
	require.Equal(t, map[string][][]byte{"b": {f}}, d.send("a", f), "and not one byte is changed")
}

func TestAFullEgressQueueIsALossWithAName(t *testing.T) {
	near, far := mem.Pipe(256)
	slow, _ := mem.Pipe(1)
	defer near.Close()
	defer far.Close()
	defer slow.Close()
	n, err := New(DefaultConfig(), []Port{{"a", near}, {"b", slow}})
	require.NoError(t, err)
	for range 3 {
		_, err := far.Send([]*hostif.Frame{{Data: tcpFrame(macB, macA)}})
		require.NoError(t, err)
	}
	_, err = n.Step(1)
	require.NoError(t, err)
	s := n.Counters()
	require.Equal(t, uint64(3), s.Ports["b"].TxFrames+s.Counters["drop.egress_full"])
	require.NotZero(t, s.Counters["drop.egress_full"])
}

func TestNullIsAWire(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Program = Null
	d := newDevice(t, cfg, "a", "b")
	garbage := make([]byte, 14) // no valid address, no known type
	require.Equal(t, map[string][][]byte{"b": {garbage}}, d.send("a", garbage))
	require.Equal(t, map[string][][]byte{"a": {garbage}}, d.send("b", garbage))
	require.Nil(t, d.Counters().ModelNS, "a wire has no model time")
}

// The model time of a frame is the card's, whatever the host does: the same on
// every run, longer for a longer frame, and said for each way through the card.
func TestModelTime(t *testing.T) {
	of := func(frame []byte) *ModelTime {
		d := newDevice(t, DefaultConfig(), "a", "b")
		d.send("a", frame)
		d.settle()
		m := d.Counters().ModelNS
		require.NotNil(t, m)
		require.EqualValues(t, 1, m.Frames)
		require.Equal(t, DefaultPipeline, m.Pipeline)
		require.InEpsilon(t, m.Sum, m.P50, 1e-3)
		require.Equal(t, []CrossingTime{{"a", "b", 1, m.Times}}, m.Crossings)
		return m
	}
	short := tcpFrame(macB, macA)
	long := []byte(datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A").Payload(string(make([]byte, 1400))))
	require.Equal(t, of(short), of(short))
	require.Greater(t, of(long).P50, of(short).P50)
}

// A superframe takes the card as long as the segments it stands for.
func TestModelTimeOfASuperframe(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b")
	of := func(payload int) []byte {
		return datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A").Payload(string(make([]byte, payload)))
	}
	d.frame(1, 0, &hostif.Frame{Data: of(3000), Offload: hostif.Offload{GSO: hostif.GSOTCPv4, GSOSize: 1000, CsumPartial: true, CsumStart: 34, CsumOffset: 16}}, false)
	d.settle()
	m := d.Counters().ModelNS
	require.EqualValues(t, 3, m.Frames)

	d = newDevice(t, DefaultConfig(), "a", "b")
	d.send("a", of(1000))
	d.settle()
	require.InDelta(t, 3*d.Counters().ModelNS.Sum, m.Sum, 3*4, "each as long as one alone, to a cycle of the crossing: the line spaces them")
}

func TestConfigurationMistakes(t *testing.T) {
	links := func(names ...string) (ports []Port) {
		for _, n := range names {
			near, far := mem.Pipe(1)
			t.Cleanup(func() { near.Close(); far.Close() })
			ports = append(ports, Port{n, near})
		}
		return ports
	}
	for _, tt := range []struct {
		name string
		cfg  func(*Config)
		list []Port
		want string
	}{
		{"one port", func(*Config) {}, links("a"), "1 ports, want 2 to 64"},
		{"same name", func(*Config) {}, links("a", "a"), `two ports are named "a"`},
		{"null with three", func(c *Config) { c.Program = Null }, links("a", "b", "c"), "a wire between two ports, not 3"},
		{"unknown program", func(c *Config) { c.Program = "toe" }, links("a", "b"), `unknown program "toe", want one of [null passthrough offload]`},
		{"flows", func(c *Config) { c.Flows = 1000 }, links("a", "b"), "1000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := DefaultConfig()
			tt.cfg(&cfg)
			_, err := New(cfg, tt.list)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestRunCarriesFramesAnswersAndEnds(t *testing.T) {
	for name, opt := range map[string]RunOptions{"sleep": {}, "poll": {Poll: time.Millisecond}, "spin": {Spin: true}} {
		t.Run(name, func(t *testing.T) { carriesFramesAnswersAndEnds(t, opt) })
	}
}

func carriesFramesAnswersAndEnds(t *testing.T, opt RunOptions) {
	d := newDevice(t, DefaultConfig(), "a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, opt) }()
	_, err := d.far["a"].Send([]*hostif.Frame{{Data: tcpFrame(macB, macA)}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		s, err := d.Snapshot(ctx)
		return err == nil && s.Counters["forwarded"] == 1
	}, 30*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	_, err = d.Snapshot(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestRunEndsWhenNoPortCanBringAnyMore(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b")
	d.far["a"].Close()
	d.far["b"].Close()
	require.NoError(t, d.Run(t.Context(), RunOptions{}))
}

// downLink is a link whose interface is down for a while.
type downLink struct {
	hostif.Link
	down int
}

func (l *downLink) Recv(frames []*hostif.Frame) (int, error) {
	if l.down--; l.down >= 0 {
		return 0, &hostif.OpError{Op: "receive", Iface: "down0", Err: syscall.ENETDOWN}
	}
	return l.Link.Recv(frames)
}

func TestAnInterfaceThatGoesDownMayComeUpAgain(t *testing.T) {
	near, far := mem.Pipe(4)
	other, wire := mem.Pipe(4)
	for _, l := range []hostif.Link{near, far, other, wire} {
		defer l.Close()
	}
	n, err := New(DefaultConfig(), []Port{{"a", &downLink{near, 2}}, {"b", other}})
	require.NoError(t, err)
	_, err = far.Send([]*hostif.Frame{{Data: tcpFrame(macB, macA)}})
	require.NoError(t, err)
	for range 3 {
		_, err = n.Step(1)
		require.NoError(t, err)
	}
	got, err := wire.Recv(make([]*hostif.Frame, 1))
	require.NoError(t, err)
	require.Equal(t, 1, got)
	require.EqualValues(t, 2, n.Counters().Counters["link_down"])
}

// A port at its end must not keep the loop awake: what it polls as readable for
// ever is waited for no more.
func TestAPortAtItsEndDoesNotKeepTheOthersFromWaiting(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b")
	d.far["a"].Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, RunOptions{}) }()
	require.Eventually(t, func() bool { _, err := d.Snapshot(ctx); return err == nil }, 30*time.Second, time.Millisecond)
	var before, after unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &before))
	time.Sleep(300 * time.Millisecond)
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &after))
	used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	require.Less(t, used, 150*time.Millisecond, "CPU time in 300 ms of having nothing to do")
	cancel()
	require.NoError(t, <-ended)
}

func TestParseStatic(t *testing.T) {
	e, err := ParseStatic("02:00:00:00:00:0a@5=a")
	require.NoError(t, err)
	require.Equal(t, StaticMAC{VLAN: 5, MAC: datapathtest.MAC(macA), Port: "a"}, e)
	for _, bad := range []string{"", "=", "02:00:00:00:00:0a", "02:00:00:00:00:0a=", "zz=a", "02:00:00:00:00:0a@0=a", "02:00:00:00:00:0a@4095=a"} {
		_, err := ParseStatic(bad)
		require.ErrorContains(t, err, "MAC@VLAN=PORT", bad)
	}
}
