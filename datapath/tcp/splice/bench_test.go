package splice

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// A flow is a client's connection, a server's and an exchange, with two times two places
// of four bytes in the index, of which half are free. Heads under way are not counted.
// A segment that passes needs the first two of a connection's three cache lines.
func TestStateOfAFlow(t *testing.T) {
	const line, place = 64, 4
	require.EqualValues(t, 3*line, unsafe.Sizeof(conn{}))
	require.EqualValues(t, line, unsafe.Offsetof(conn{}.window), "who it is, how and to whom")
	require.EqualValues(t, 2*line, unsafe.Offsetof(conn{}.deadline), "where its streams are")
	require.EqualValues(t, 96, unsafe.Sizeof(exchange{}))
	n := 2*unsafe.Sizeof(conn{}) + unsafe.Sizeof(exchange{}) + 2*2*place
	t.Logf("%d bytes a flow", n)
	require.LessOrEqual(t, n, uintptr(512))
	tab := newTable(MinConns, 0)
	tab.take(client)
	require.Zero(t, uintptr(unsafe.Pointer(tab.conns[0]))%line, "a block begins a line")
}

// relay is an App that has every head go on as it is, with bodies of a length.
type relay struct{ request, response uint64 }

func (relay) Listens(a Addr) bool                                     { return a.Port == 80 }
func (relay) Opened(sim.Cycle, Flow, Addr, Addr)                      {}
func (relay) Body(Flow, Direction, []byte) (int, uint64, bool, error) { return 0, 0, true, nil }
func (relay) Failed(sim.Cycle, Flow, Failure) Decision                { return Decision{Do: Abort} }
func (relay) Due(sim.Cycle, Flow) Decision                            { return Decision{Do: Nothing} }
func (relay) Completed(sim.Cycle, Flow)                               {}
func (relay) Aborted(sim.Cycle, Flow, Failure)                        {}
func (relay) Closed(sim.Cycle, Flow)                                  {}
func (relay) Upstream(sim.Cycle, Endpoint, ConnEvent)                 {}

func (r relay) Request(_ sim.Cycle, f Flow, b []byte) Decision {
	return Decision{Do: Send, To: Endpoint(f % benchEnds), Head: benchHead, Out: b[:benchHead], Body: r.request}
}

func (r relay) Response(_ sim.Cycle, _ Flow, b []byte) Decision {
	return Decision{Do: Send, Head: benchHead, Out: b[:benchHead], Body: r.response}
}

const (
	benchHead = 400 // bytes
	benchBody = 1000
	benchEnds = 4 // endpoints: one has ports for 49,152 connections
)

// bench is an engine with clients whose frames are built by hand, so that nothing but
// the engine's work is measured.
type bench struct {
	e       *Engine
	clients []benchFlow
	p       datapath.Packet
	buf     [2048]byte
	head    [64]byte // of a frame, for Hint
}

// batch is how many frames the NIC takes from a port at once.
const batch = 64

// benchFlow is a client's connection, joined with a server's by its last request.
type benchFlow struct {
	n          int32
	from, to   Addr     // of the client's segments
	seq, ack   wire.Seq // of its next one
	ufrom, uto Addr     // of the server's
	useq, uack wire.Seq
}

func newBench(tb testing.TB, flows int, app App) *bench {
	conns := 16
	for conns < 3*flows {
		conns *= 2
	}
	e, err := New(Config{Conns: conns, HalfOpen: conns, Clock: sim.Clock{Hz: 250_000_000}, Seed: 1}, app)
	require.NoError(tb, err)
	for ep := range Endpoint(benchEnds) {
		e.SetEndpoint(ep, Addr{IP: wire.MapIPv4([4]byte{10, 0, 1, byte(ep)}), Port: 8080}, wire.MapIPv4([4]byte{10, 0, 0, 9}))
		e.SetNeighbour(0, ep, Neighbour{Port: 1})
	}
	b := &bench{e: e, clients: make([]benchFlow, flows)}
	for i := range b.clients {
		f := &b.clients[i]
		f.from = Addr{IP: wire.MapIPv4([4]byte{10, 1, byte(i >> 8), byte(i)}), Port: uint16(1024 + i>>16)}
		f.to = Addr{IP: wire.MapIPv4([4]byte{10, 0, 0, 9}), Port: 80}
		f.seq = 1000
		b.segment(&f.from, &f.to, f.seq, 0, wire.SYN, 0)
		f.n = e.t.at(&f.from, &f.to)
		f.seq++
		f.ack = e.conn(f.n).iss + 1
		e.conn(f.n).mss = 1460
		b.client(f, wire.ACK, 0)
	}
	return b
}

// segment processes one with n bytes of payload. It reports whether it goes on.
func (b *bench) segment(from, to *Addr, seq, ack wire.Seq, flags wire.TCPFlags, n int) bool {
	const l4 = wire.EthernetLen + wire.IPv4MinLen
	const off = l4 + wire.TCPMinLen
	d := b.buf[64 : 64+off+n]
	b.p.Data = d
	b.p.Egress = 0
	t := wire.TCP(d[l4:])
	t[12] = 5 << 4
	h := &b.p.PHV
	*h = datapath.PHV{
		Headers: datapath.HdrEthernet | datapath.HdrIPv4 | datapath.HdrTCP, L3Off: wire.EthernetLen, L4Off: l4, PayloadOff: off, PayloadLen: uint32(n),
		IPSrc: from.IP, IPDst: to.IP, SrcPort: from.Port, DstPort: to.Port, TCPSeq: seq, TCPAck: ack, TCPFlags: flags, TCPWindow: 60000,
	}
	v := b.e.Process(1, &b.p)
	b.e.Flushed()
	return v == datapath.Forward
}

func (b *bench) client(f *benchFlow, flags wire.TCPFlags, n int) bool {
	ok := b.segment(&f.from, &f.to, f.seq, f.ack, flags, n)
	f.seq = f.seq.Add(uint32(n))
	return ok
}

func (b *bench) server(f *benchFlow, flags wire.TCPFlags, n int) bool {
	ok := b.segment(&f.ufrom, &f.uto, f.useq, f.uack, flags, n)
	f.useq = f.useq.Add(uint32(n))
	return ok
}

// hint announces a segment.
func (b *bench) hint(from, to *Addr) {
	h := b.head[:]
	wire.Ethernet(h).SetType(wire.TypeIPv4)
	ip := wire.IPv4(h[wire.EthernetLen:])
	ip.SetVersionIHL(wire.IPv4MinLen)
	ip.SetProto(wire.ProtoTCP)
	ip.SetSrc([4]byte(from.IP[12:]))
	ip.SetDst([4]byte(to.IP[12:]))
	t := wire.TCP(h[wire.EthernetLen+wire.IPv4MinLen:])
	t.SetSrcPort(from.Port)
	t.SetDstPort(to.Port)
	b.e.Hint(h)
}

// request has a client ask: on a pooled connection, or on one that is opened.
func (b *bench) request(f *benchFlow, n int) {
	b.client(f, wire.ACK|wire.PSH, n)
	u := b.e.conn(b.e.exchange(f.n).up)
	if u.state == synSent {
		b.segment(&u.remote, &u.local, 5000, u.iss+1, wire.SYN|wire.ACK, 0)
	}
	f.ufrom, f.uto = u.remote, u.local
	f.useq, f.uack = u.rcvNxt, u.sndNxt
}

func (b *bench) shuffle() {
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(b.clients), func(i, j int) { b.clients[i], b.clients[j] = b.clients[j], b.clients[i] })
}

// BenchmarkRequest carries requests with their responses, one segment each, and the
// client's acknowledgement, on pooled connections, of 64 clients or 100,000 in turn, in an
// order by chance: with so many, hardly anything of a connection is in a cache when it is needed.
func BenchmarkRequest(b *testing.B) {
	for _, x := range []struct {
		name  string
		flows int
	}{{"64", 64}, {"100000", 100_000}} {
		b.Run(x.name, func(b *testing.B) {
			k := newBench(b, x.flows, relay{})
			exchange := func(f *benchFlow) {
				k.request(f, benchHead)
				if !k.server(f, wire.ACK|wire.PSH, benchHead) {
					b.Fatal("a response does not go on")
				}
				f.ack = k.e.conn(f.n).sndNxt
				k.client(f, wire.ACK, 0)
			}
			for i := range k.clients {
				exchange(&k.clients[i])
			}
			k.shuffle()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				exchange(&k.clients[n%x.flows])
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(3*n), "ns/segment")
		})
	}
}

// BenchmarkBody carries two segments of a response's body and their acknowledgement, of one
// client or of 100,000 in turn, in an order by chance, and as the NIC does it: batches of
// frames from one port, then from the other, announced by Hint and Warm.
func BenchmarkBody(b *testing.B) {
	for _, x := range []struct {
		name  string
		flows int
	}{{"1", 1}, {"100000", 100_000}} {
		b.Run(x.name, func(b *testing.B) {
			k := newBench(b, x.flows, relay{response: 1 << 40})
			for i := range k.clients {
				f := &k.clients[i]
				k.request(f, benchHead)
				k.server(f, wire.ACK|wire.PSH, benchHead)
				f.ack = k.e.conn(f.n).sndNxt
			}
			k.shuffle()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				turn := k.clients[n%x.flows:]
				turn = turn[:min(len(turn), batch/2)]
				for i := range turn {
					k.hint(&turn[i].ufrom, &turn[i].uto)
					k.hint(&turn[i].ufrom, &turn[i].uto)
				}
				k.e.Warm()
				for i := range turn {
					for range 2 {
						if !k.server(&turn[i], wire.ACK, benchBody) {
							b.Fatal("a segment of the body does not go on")
						}
					}
				}
				for i := range turn {
					k.hint(&turn[i].from, &turn[i].to)
				}
				k.e.Warm()
				for i := range turn {
					f := &turn[i]
					f.ack = f.ack.Add(2 * benchBody)
					k.client(f, wire.ACK, 0)
				}
				n += len(turn)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(3*n), "ns/segment")
		})
	}
}

// Hint takes any bytes, and nothing comes of it or of Warm.
func TestWarm(t *testing.T) {
	b := newBench(t, fewConns, relay{response: benchBody})
	f := &b.clients[0]
	before := b.e.Counters()
	for n := range b.head {
		b.hint(&f.from, &f.to)
		b.e.Hint(b.head[:n])
	}
	b.e.Hint(nil)
	require.NotEmpty(t, b.e.hints)
	b.e.Warm()
	require.Empty(t, b.e.hints)
	require.Equal(t, before, b.e.Counters())
	require.Zero(t, testing.AllocsPerRun(10, func() { b.hint(&f.from, &f.to); b.e.Warm() }))
}
