package splice_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
)

// message is one of a stream: where it begins, its body, and its end.
type message struct{ begin, body, end int }

// peer is one end of one of the engine's connections. Offsets count from the first byte
// behind the SYN.
type peer struct {
	name        string
	ip          string
	port, local uint16
	isn, theirs uint32
	up          bool // the handshake is over

	says     []byte    // all that it will say
	sends    []message // the messages in it
	sent     int       // behind the last byte that it has sent
	acked    int       // most that it was acknowledged
	most     int       // the same, with what was lost on its way
	sees     []byte    // all that it is to see
	receives []message
	has      []bool // of sees
	next     int    // behind what it has without a gap
	told     int    // most that it has acknowledged
	window   uint16
	recent   uint32 // timestamp that it got last
}

// pair is a client and a server with an engine between them, and the requests that go
// from one to the other by one connection of each.
type pair struct {
	t              testing.TB
	e              *splice.Engine
	parse          *parser.Parser
	now            sim.Cycle
	client, server *peer
	v6, lossy      bool // the engine's frames get lost
	clock          uint32
	told           []string
}

// newPair makes a pair: how has bits for what differs.
func newPair(t testing.TB, how byte) *pair {
	x := &pair{t: t, parse: parser.New(parser.Config{VerifyChecksums: true}), v6: how&1 != 0, clock: 77}
	if how&2 != 0 {
		x.clock = 1<<32 - 300
	}
	app := newScript()
	e, err := splice.New(splice.Config{Conns: 16, Clock: sim.Clock{Hz: hz}, Seed: uint64(how)}, app)
	require.NoError(t, err)
	x.e, app.e = e, e
	x.client = &peer{name: "client", ip: x.addr(1), port: 4000, local: listenPort, isn: 1000, window: 1000}
	x.server = &peer{name: "server", ip: x.addr(2), port: 8080, isn: 5000, window: 1000}
	if how&4 != 0 {
		x.client.isn, x.server.isn = 1<<32-500, 1<<32-1200
	}
	for i := range splice.Endpoint(2) {
		e.SetEndpoint(i, splice.Addr{IP: IP(x.server.ip), Port: 8080}, IP(x.addr(100)))
		e.SetNeighbour(0, i, splice.Neighbour{MAC: wire.MAC{2, 5: 2}, Own: wire.MAC{2, 5: 100}, Port: 1})
	}
	for i := range 4 {
		request, response := 40+int(how>>3)*37*i, 900-200*i
		x.say(x.client, x.server, fmt.Sprintf("POST /0 HTTP/1.1\r\nlength: %d\r\n", request), "\r\n", "via: nic\r\n\r\n", body(i, request))
		x.say(x.server, x.client, "HTTP/1.1 200", fmt.Sprintf(" OK\r\nlength: %d\r\n\r\n", response), fmt.Sprintf("\r\nlength: %d\r\n\r\n", response), body(10+i, response))
	}
	for _, p := range []*peer{x.client, x.server} {
		p.has = make([]bool, len(p.sees))
	}
	return x
}

func (x *pair) addr(n int) string {
	if x.v6 {
		return fmt.Sprintf("fd00::%x", n)
	}
	return fmt.Sprintf("10.0.0.%d", n)
}

// body is n bytes of which no two stretches are alike.
func body(seed, n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	for i := range b {
		b[i] = 'a' + byte(r.IntN(26))
	}
	return string(b)
}

// say adds a message to what p says, of which q sees another head.
func (x *pair) say(p, q *peer, head, rest, instead, body string) {
	m, n := message{begin: len(p.says)}, message{begin: len(q.sees)}
	p.says = append(p.says, head+rest...)
	q.sees = append(q.sees, head+instead...)
	m.body, n.body = len(p.says), len(q.sees)
	p.says, q.sees = append(p.says, body...), append(q.sees, body...)
	m.end, n.end = len(p.says), len(q.sees)
	p.sends, q.receives = append(p.sends, m), append(q.receives, n)
}

func (x *pair) other(p *peer) *peer {
	if p == x.client {
		return x.server
	}
	return x.client
}

// may is how much of what p says may be acknowledged to it: what its receiver has
// acknowledged, and the head that follows. If a client's request is as a whole, the next
// waits here, and may, too.
func (x *pair) may(p *peer) int {
	q := x.other(p)
	for i, n := range q.receives {
		m := p.sends[i]
		if p == x.client && i > 0 && q.told >= q.receives[i-1].end && x.client.told < x.client.receives[i-1].end {
			return len(p.says) // the exchange before is not over
		}
		if q.told < n.body {
			return m.body
		} else if q.told < n.end {
			return m.body + q.told - n.body
		}
	}
	return len(p.says)
}

// ready is how much p can say by now: a server answers a request of which it has the head.
func (x *pair) ready(p *peer) int {
	n := 0
	for i, m := range p.sends {
		if p == x.server && (i > 0 && p.next < p.receives[i-1].end || p.next < p.receives[i].body) {
			break
		}
		n = m.end
	}
	return n
}

// segment has p send bytes [from,until) of what it says.
func (x *pair) segment(p *peer, flags string, from, until int, gso uint16) {
	x.clock++
	seq := p.isn + uint32(from)
	if flags != "S" && flags != "SA" {
		seq++
	}
	fields := []TCPField{Seq(seq), Win(p.window), TS(x.clock, p.recent)}
	if flags != "S" {
		p.told = max(p.told, p.next)
		fields = append(fields, Ack(p.theirs+1+uint32(p.next)))
	}
	if flags == "S" || flags == "SA" {
		fields = append(fields, MSS(1460), WScale(7), SACKPermitted())
	}
	f := Eth("02:00:00:00:00:64", "02:00:00:00:00:01")
	if x.v6 {
		f = f.IPv6(p.ip, x.addr(100))
	} else {
		f = f.IPv4(p.ip, x.addr(100))
	}
	pkt := datapath.Packet{GSOSize: gso, CsumPartial: gso > 0}
	f = f.TCP(p.port, p.local, flags, fields...).Payload(string(p.says[from:until]))
	if gso > 0 {
		f = f.PartialChecksum()
	}
	pkt.Data = append(make([]byte, 0, len(f)+100), f...)
	p.sent = max(p.sent, until)
	x.tell("%s %s [%d,%d) ack %d win %d", p.name, flags, from, until, p.next, p.window)
	require.Equal(x.t, datapath.Continue, x.parse.Process(x.now, &pkt))
	v := x.e.Process(x.now, &pkt)
	x.flush()
	if v == datapath.Forward {
		x.arrives(datapath.Packet{Data: pkt.Data, CsumPartial: pkt.CsumPartial, GSOSize: pkt.GSOSize})
	}
}

func (x *pair) tell(format string, args ...any) {
	x.told = append(x.told, fmt.Sprintf("%v ", x.now)+fmt.Sprintf(format, args...))
}

func (x *pair) flush() {
	for _, f := range x.e.Out() {
		x.arrives(datapath.Packet{Data: append([]byte(nil), f.Data...)})
	}
	x.e.Flushed()
}

func (x *pair) advance(d sim.Cycle) {
	x.now += d
	x.e.Advance(x.now)
	x.flush()
}

// arrives takes a frame of the engine's: its bytes are those that were said, and what it
// acknowledges is acknowledged by whom it was said to.
func (x *pair) arrives(pkt datapath.Packet) {
	require.Equal(x.t, datapath.Continue, x.parse.Process(0, &pkt), "%v", pkt.Reason)
	h := &pkt.PHV
	p := x.client
	if h.DstPort == x.server.port {
		p = x.server
	}
	if h.TCPFlags.Has(wire.SYN) {
		if x.lossy {
			return
		}
		p.theirs = uint32(h.TCPSeq)
		if p == x.server {
			p.local = h.SrcPort
		}
	}
	off := int(int32(uint32(h.TCPSeq) - p.theirs - 1))
	b := pkt.Data[h.PayloadOff:][:h.PayloadLen]
	x.tell("  > %s %v [%d,%d) ack %d win %d", p.name, h.TCPFlags, off, off+len(b), int32(uint32(h.TCPAck)-p.isn-1), h.TCPWindow)
	require.False(x.t, h.TCPFlags.Has(wire.RST) || h.TCPFlags.Has(wire.FIN), "%v", x)
	if len(b) > 0 {
		require.True(x.t, off >= 0 && off+len(b) <= len(p.sees), "%v", x)
		require.Equal(x.t, string(p.sees[off:off+len(b)]), string(b), "%v", x)
	}
	if h.TCPFlags.Has(wire.ACK) {
		a := int(int32(uint32(h.TCPAck) - p.isn - 1))
		require.LessOrEqual(x.t, a, p.sent, "acknowledges what was not sent: %v", x)
		require.LessOrEqual(x.t, a, max(p.most, x.may(p)), "acknowledges what nobody has: %v", x)
		p.most = max(p.most, a)
		if x.lossy {
			return
		}
		p.acked = max(p.acked, a)
	}
	if x.lossy {
		return
	}
	t := wire.TCP(pkt.Data[h.L4Off:])
	var o wire.TCPOption
	for it := wire.TCPOptions(t.Options()); it.Next(&o); {
		if v, _, ok := o.Timestamps(); ok {
			if !h.TCPFlags.Has(wire.SYN) {
				require.GreaterOrEqual(x.t, int32(v-p.recent), int32(0), "a timestamp goes back: %v", x)
			}
			p.recent = v
		}
	}
	for i := range b {
		p.has[off+i] = true
	}
	for p.next < len(p.has) && p.has[p.next] {
		p.next++
	}
}

// String tells what has happened.
func (x *pair) String() (s string) {
	for _, line := range x.told[max(0, len(x.told)-60):] {
		s += line + "\n"
	}
	return s
}

// shake has p do its part of the handshake, if that is not over. It reports whether it was.
func (x *pair) shake(p *peer) bool {
	switch {
	case p.up:
		return true
	case p == x.client:
		x.segment(p, "S", 0, 0, 0)
		if p.theirs != 0 {
			x.segment(p, "A", 0, 0, 0)
			p.up = true
		}
	case p.theirs != 0: // the engine's SYN has come
		p.up = true
		x.segment(p, "SA", 0, 0, 0)
	}
	return false
}

// do is one thing that happens, by three bytes: what and whose, and how much of it.
func (x *pair) do(what, a, b byte) {
	p := x.client
	if what&1 != 0 {
		p = x.server
	}
	x.lossy = what&128 != 0
	defer func() { x.lossy = false }()
	what >>= 1
	if what&3 != 3 && !x.shake(p) {
		return
	}
	gso := uint16(0)
	if what&16 != 0 {
		gso = 50 + uint16(b)
	}
	ready := x.ready(p)
	switch what & 7 {
	case 0, 4: // what comes next
		x.segment(p, "PA", p.sent, max(p.sent, min(ready, p.sent+int(a)*3)), gso)
	case 1: // again, from anywhere
		from := min(p.acked+int(a), p.sent)
		if b&1 != 0 {
			from = max(0, p.acked-int(a))
		}
		x.segment(p, "A", from, max(from, min(p.sent, from+int(b)*4)), gso)
	case 2:
		x.segment(p, "A", p.sent, p.sent, 0)
	case 3, 7:
		if x.now < 800 || x.server.up && x.now < 20_000 { // by then a SYN would be given up
			x.advance(sim.Cycle(a))
		}
	case 5: // a gap
		if from := p.sent + int(a); from < ready {
			sent := p.sent
			x.segment(p, "A", from, min(ready, from+int(b)), 0)
			x.tell("%s: the bytes before them were lost", p.name)
			p.sent = max(sent, p.sent)
		}
	case 6: // a window, and a probe
		p.window = uint16(a) * uint16(b>>4)
		if b&1 != 0 && p.acked > 0 {
			x.segment(p, "A", p.acked-1, p.acked-int(b>>1&1), 0)
		} else {
			x.segment(p, "A", p.sent, p.sent, 0)
		}
	}
}

// finish has all be said that is to be: nothing gets lost any more.
func (x *pair) finish() {
	for round := 0; ; round++ {
		done := true
		for _, p := range []*peer{x.client, x.server} {
			p.window = 1000
			if !x.shake(p) {
				done = false
				continue
			}
			for from := p.acked; from < x.ready(p); from += 1400 {
				x.segment(p, "A", from, min(from+1400, x.ready(p)), 0)
			}
			x.segment(p, "A", p.sent, p.sent, 0)
			done = done && p.next == len(p.sees) && p.acked == len(p.says)
		}
		if done {
			return
		}
		require.Less(x.t, round, 60, "it does not come to an end: client has %d of %d and is told %d of %d, server %d of %d and %d of %d\n%v",
			x.client.next, len(x.client.sees), x.client.acked, len(x.client.says), x.server.next, len(x.server.sees), x.server.acked, len(x.server.says), x)
		x.advance(100)
	}
}

func endToEnd(t testing.TB, b []byte) {
	if len(b) == 0 {
		return
	}
	x := newPair(t, b[0])
	for b = b[1:]; len(b) >= 3; b = b[3:] {
		x.do(b[0], b[1], b[2])
	}
	x.finish()
	require.Zero(t, x.e.Held(), "buffers are held")
}

// FuzzEndToEnd has four requests on one connection, and their responses, go through the
// engine in any pieces, again and again, with losses on both sides, windows that shut, and
// superframes. A byte is acknowledged to its sender only when its receiver has acknowledged
// it, heads excepted; every byte that leaves is the one that was said there; timestamps never go
// back; and when nothing is lost any more all of it comes to its end.
func FuzzEndToEnd(f *testing.F) {
	f.Add([]byte{0, 0, 60, 0, 1, 0, 0, 0, 60, 0, 1, 255, 0})
	f.Add([]byte{7, 128, 60, 0, 3, 9, 9, 0, 255, 0, 1, 255, 0, 11, 3, 200, 2, 4, 4, 5, 0, 16})
	f.Fuzz(func(t *testing.T, b []byte) { endToEnd(t, b) })
}

// TestEndToEnd is FuzzEndToEnd of drawn bytes.
func TestEndToEnd(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 2))
		b := make([]byte, 1+3*r.IntN(120))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { endToEnd(t, b) }) {
			return
		}
	}
}
