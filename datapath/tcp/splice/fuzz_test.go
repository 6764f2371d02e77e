package splice_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
)

// texts are what fuzzed segments carry: heads, parts of some, bodies.
var texts = [...]string{
	"", "GET /0 HTTP/1.1\r\n\r\n", "POST /1 HTTP/1.1\r\nlength: 7\r\n\r\nabc", "POST /keep HTTP/1.1\r\nchunked\r\n\r\n3\r\nabc\r\n",
	"0\r\n\r\n", "GET /raw HTTP/1.1\r\n\r\n", "GET /reply HTTP/1.1\r\n\r\n", "GET /park HTTP/1.1\r\nexpect\r\n\r\n", "GET /late HTT",
	"P/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nlength: 5\r\n\r\nabc", "HTTP/1.1 200 OK\r\nchunked\r\n\r\n3\r\n", "HTTP/1.1 103 Hints\r\n\r\n",
	"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 204 No\r\n\r\n", "abcdefg", "GET /abort HTTP/1.1\r\nclose\r\n\r\n",
	"POST /0 HTTP/1.1\r\nlength: 9000\r\n\r\n" + long, "HTTP/1.1 200 OK\r\nlength: 9000\r\n\r\n" + long, long,
	"POST /0 HTTP/1.1\r\nlength: 100000\r\n\r\n" + longest, longest,
}

// long is of several segments, and longest of as many as one packet may be.
var (
	long    = strings.Repeat("x", 3000)
	longest = strings.Repeat("x", 65_400)
)

// side is one end of a connection of the engine's, as the fuzzer knows it.
type side struct {
	ip          string
	port, local uint16
	next        uint32 // behind what it has sent in order
	got         uint32 // behind what the engine has sent it
	given       uint32 // most that the engine has acknowledged to it
	sent        uint32 // most that it has sent
	mss         uint16 // that it tells
}

// fuzzed is an engine and the hosts around it.
type fuzzed struct {
	t     testing.TB
	e     *splice.Engine
	now   sim.Cycle
	sides []*side
	parse *parser.Parser
}

// FuzzProcess has the engine get segments, six bytes each: whose, flags and what is left
// to a device, text, how far the numbers are off, and time. What it sends must be whole
// frames with right checksums, or sums to be completed, of a length, or in segments of a
// length, that the receiver takes; they acknowledge nothing that was not sent; and when
// all time is over there must be nothing left.
func FuzzProcess(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 3, 1, 0, 0, 0, 3, 4, 0, 0, 0, 0, 3, 3, 10, 0, 0, 0, 0, 2, 0, 0, 0, 1})
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 3, 2, 0, 0, 0, 3, 4, 0, 0, 0, 0, 3, 3, 13, 0, 0, 1, 3, 5, 15, 0, 0, 0, 0, 5, 4, 0, 0, 0})
	f.Add([]byte{1, 1, 0, 0, 0, 0, 1, 3, 7, 0, 0, 3, 3, 4, 0, 0, 0, 0, 3, 6, 0, 0, 0, 9, 1, 3, 8, 0, 0, 0, 1, 3, 9, 2, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) { fuzzEngine(t, b) })
}

func fuzzEngine(t testing.TB, b []byte) {
	app := newScript()
	e, err := splice.New(splice.Config{Conns: 16 << (len(b) % 2 * 8), HalfOpen: 2, Clock: sim.Clock{Hz: hz}, Seed: 7}, app)
	require.NoError(t, err)
	app.e = e
	x := &fuzzed{t: t, e: e, parse: parser.New(parser.Config{VerifyChecksums: true})}
	for i, ip := range []string{"10.0.0.2", "10.0.0.3"} {
		e.SetEndpoint(splice.Endpoint(i), splice.Addr{IP: IP(ip), Port: 8080}, IP(nicIP))
		e.SetNeighbour(0, splice.Endpoint(i), splice.Neighbour{MAC: wire.MAC{2, 5: byte(i + 2)}, Own: wire.MAC{2, 5: 100}, Port: 1})
	}
	for port := uint16(4000); port < 4003; port++ {
		x.sides = append(x.sides, &side{ip: "10.0.0.1", port: port, local: listenPort, next: 1<<32 - 40, sent: 1<<32 - 40, given: 1<<32 - 40, mss: 536 + 400*(port-4000)})
	}
	for n := 0; len(b) >= 6 && n < 400; n++ {
		x.segment(b[:6])
		b = b[6:]
	}
	x.drain()
}

// segment builds one of c and has the engine process it.
func (x *fuzzed) segment(c []byte) {
	s := x.sides[int(c[0])%len(x.sides)]
	flags := [...]string{"", "S", "A", "PA", "SA", "FA", "R", "RA", "FPA", "F", "SF", "PAU"}[int(c[1])%12]
	text := texts[int(c[2])%len(texts)]
	seq, ack := s.next, s.got
	switch d := int32(int8(c[3])); {
	case c[3]&1 == 1:
		seq += uint32(d >> 1)
	default:
		ack += uint32(d)
	}
	fields := []TCPField{Seq(seq), Ack(ack), Win(uint16(c[4]) << 4)}
	if c[1]&1 == 1 || flags == "S" || flags == "SA" {
		fields = append(fields, TS(uint32(x.now)+uint32(c[4]), 0))
	}
	if flags == "S" || flags == "SA" {
		fields = append(fields, MSS(s.mss), WScale(c[4]&7), SACKPermitted())
	} else if c[4]&32 != 0 {
		fields = append(fields, SACK(ack+5, ack+20))
	}
	end := seq + uint32(len(text))
	if flags != "" && flags != "A" && flags != "PA" && flags[0] != 'R' && flags != "PAU" {
		end++
	}
	if int32(end-s.sent) > 0 {
		s.sent = end
	}
	if seq == s.next {
		s.next = end
	}
	f := Eth("02:00:00:00:00:64", "02:00:00:00:00:01").IPv4(s.ip, nicIP).TCP(s.port, s.local, flags, fields...).Payload(text)
	how := c[1] / 12
	p := datapath.Packet{CsumPartial: how%3 > 0}
	if p.CsumPartial {
		f = f.PartialChecksum()
	}
	if how%3 == 2 {
		p.GSOSize = 100 * uint16(how)
	}
	p.Data = append(make([]byte, 0, len(f)+int(how)*8), f...)
	require.Equal(x.t, datapath.Continue, x.parse.Process(x.now, &p))
	v := x.e.Process(x.now, &p)
	x.flush()
	if v == datapath.Forward {
		x.sent(datapath.Packet{Data: p.Data, CsumPartial: p.CsumPartial, GSOSize: p.GSOSize})
	}
	if c[5] > 0 {
		x.advance(sim.Cycle(c[5]) * sim.Cycle(c[5]))
	}
}

func (x *fuzzed) advance(d sim.Cycle) {
	for end := x.now + d; ; {
		at, ok := x.e.Next()
		if !ok || at > end {
			x.now = end
			x.e.Advance(end)
			x.flush()
			return
		}
		x.now = max(x.now, at)
		x.e.Advance(x.now)
		x.flush()
	}
}

func (x *fuzzed) flush() {
	for _, f := range x.e.Out() {
		x.sent(datapath.Packet{Data: f.Data})
	}
	x.e.Flushed()
}

// sent checks a frame that the engine sends.
func (x *fuzzed) sent(p datapath.Packet) {
	frame := p.Data
	require.Equal(x.t, datapath.Continue, x.parse.Process(0, &p), "%v: %x", p.Reason, frame)
	h := &p.PHV
	t := wire.TCP(frame[h.L4Off:])
	if p.CsumPartial { // what a device does
		t.SetChecksum(^wire.Sum(t, 0))
		require.True(x.t, wire.L4ChecksumOK(frame), "%x", frame)
	}
	segment := h.PayloadLen
	if p.GSOSize > 0 {
		require.Greater(x.t, segment, uint32(p.GSOSize), "one segment is no superframe")
		segment = uint32(p.GSOSize)
	}
	require.LessOrEqual(x.t, segment, uint32(1500))
	require.Equal(x.t, len(frame), int(h.PayloadOff)+int(h.PayloadLen), "there is nothing behind the segment")
	for _, s := range x.sides {
		if IP(s.ip) != h.IPDst || s.port != h.DstPort || s.local != h.SrcPort {
			continue
		}
		if h.PayloadLen > 0 {
			require.LessOrEqual(x.t, int(segment)+len(t.Options()), int(s.mss), "more than the receiver takes")
		}
		end := uint32(h.TCPSeq) + h.PayloadLen
		if h.TCPFlags&(wire.SYN|wire.FIN) != 0 {
			end++
		}
		if h.TCPFlags.Has(wire.SYN) || int32(end-s.got) > 0 {
			s.got = end
		}
		if h.TCPFlags.Has(wire.ACK) && !h.TCPFlags.Has(wire.RST) {
			require.LessOrEqual(x.t, int32(uint32(h.TCPAck)-s.sent), int32(0), "acknowledges what was not sent")
		}
		return
	}
	require.True(x.t, h.TCPFlags.Has(wire.SYN), "to nobody: %x", frame)
	require.Less(x.t, len(x.sides), 3+400)
	ip, _ := wire.UnmapIPv4(h.IPDst)
	to := "10.0.0.2"
	if ip[3] == 3 {
		to = "10.0.0.3"
	}
	start := uint32(len(x.sides)) * 1_000_003
	x.sides = append(x.sides, &side{ip: to, port: h.DstPort, local: h.SrcPort, next: start, sent: start, got: uint32(h.TCPSeq) + 1, mss: 60 + uint16(len(x.sides)%4)*467})
}

// drain resets all clients, lets all time pass and looks what is left.
func (x *fuzzed) drain() {
	x.advance(1000_000)
	for _, ep := range []splice.Endpoint{0, 1} {
		x.e.DropIdle(ep)
	}
	x.flush()
	x.advance(4_000_000)
	for _, s := range x.sides[:3] { // who is connected and says nothing is the App's to end
		x.reset(s)
	}
	x.advance(4_000_000)
	require.Zero(x.t, x.e.Conns(), "connections are left")
	require.Zero(x.t, x.e.Held(), "buffers are held")
}

// reset has a client's connection end: RST with the number that the engine wants.
func (x *fuzzed) reset(s *side) {
	probe := Eth("02:00:00:00:00:64", "02:00:00:00:00:01").IPv4(s.ip, nicIP).TCP(s.port, s.local, "S", Seq(s.next+1<<20))
	p := Packet(x.t, probe)
	s.sent += 1<<20 + 10
	v := x.e.Process(x.now, p)
	require.Equal(x.t, datapath.Consume, v)
	for _, f := range x.e.Out() { // a challenge ACK tells it (RFC 5961 §4), a SYN,ACK too
		q := datapath.Packet{Data: append([]byte(nil), f.Data...)}
		x.parse.Process(0, &q)
		if q.PHV.DstPort == s.port && q.PHV.TCPFlags.Has(wire.ACK) {
			rst := Eth("02:00:00:00:00:64", "02:00:00:00:00:01").IPv4(s.ip, nicIP).TCP(s.port, s.local, "R", Seq(uint32(q.PHV.TCPAck)))
			x.e.Flushed()
			x.e.Process(x.now, Packet(x.t, rst))
		}
	}
	x.flush()
}
