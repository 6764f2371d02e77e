package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// state is where a connection stands (RFC 9293 §3.3.2). What both ends know to be
// over has none.
type state uint8

const (
	closed      state = iota
	synReceived       // a client's
	synSent           // to a server
	established
	finWait  // our FIN is out, the peer's has not come
	lastAck  // both FINs are out, ours is not acknowledged
	timeWait // both are acknowledged, late segments of the peer's may come
)

// Flags of a conn.
const (
	flagServer = 1 << iota // the peer is a server
	flagSACK
	flagTimestamps
	flagMapped // the peer's timestamps have a translation
	flagFIN    // the peer has sent FIN, behind what it was last acknowledged
	flagIdle   // in its endpoint's pool
	flagSpent  // of no further use after its exchange
)

// none is the number of no connection.
const none int32 = -1

// conn is one TCP connection, of which this end is ours and the other the peer's.
type conn struct {
	local, remote Addr
	next          Neighbour
	state         state
	flags         uint8
	tries         uint8 // of what is timed
	sndScale      uint8 // shift of the windows that the peer sends
	rcvScale      uint8 // of those that it gets
	mss           uint16
	told          uint16 // window last told the peer, as on the wire
	window        uint32 // that the peer last told, in bytes

	iss, irs wire.Seq
	sndNxt   wire.Seq // behind the last byte that went to the peer
	sndUna   wire.Seq // what the peer has acknowledged
	rcvNxt   wire.Seq // where the peer's next message begins
	acked    wire.Seq // what the peer was last acknowledged
	seen     wire.Seq // behind the last byte that came from it

	// Timestamps: the peer's latest, the latest it got, and between them the
	// translation of the peer's own for whoever it is joined to.
	tsRecent, tsSent, tsDelta, tsFirst uint32

	held     []byte    // of our own, not acknowledged
	heldAt   wire.Seq  // where it begins
	since    sim.Cycle // until it is established its first SYN, then when its peer last sent or acknowledged something new
	deadline sim.Cycle // of the connection's own; 0 is none
	app      sim.Cycle // of the App's

	peer int32 // the connection it is joined to
	ep   Endpoint
	link int32 // the next in its pool

	timer struct {
		prev, next int32
		slot       int32 // none if in no slot
	}
}

func (c *conn) has(f uint8) bool { return c.flags&f != 0 }

// v6 reports whether the connection runs over IPv6.
func (c *conn) v6() bool { _, v4 := wire.UnmapIPv4(c.remote.IP); return !v4 }

// room is how many bytes of payload fit a segment to the peer.
func (c *conn) room() int {
	n := int(c.mss)
	if c.has(flagTimestamps) {
		n -= optTimestampsLen
	}
	return n
}

// exchange is one request with its response, and what the client has sent of the next.
type exchange struct {
	up         int32 // the connection to its server, none without one
	phase      phase
	close      bool // the client's connection ends after it
	keep       bool // the request is held until its response begins
	raw        bool // not HTTP: two streams
	aborted    bool // the App was told that it ended early
	req, resp  message
	kept       []byte // the request, if it may be sent again and its connection is gone
	gather     []byte // of the client's bytes, in order, what nothing was done about: from rcvNxt on, or from the end of the request under way
	leaves     bool   // the client's FIN has come, at left, before all that goes before it
	left       wire.Seq
	respGather []byte // of a response, from the server's rcvNxt on
}

// phase is where a client's connection stands.
type phase uint8

const (
	idle    phase = iota // between exchanges, or in a head
	dialing              // the request is held, its server's connection is not there
	busy
	parked  // the request is kept, and has no connection
	replied // our own answer is out
)

// message is half of an exchange. The sender's sequence numbers differ from the
// receiver's: in and out are where the message begins in either.
type message struct {
	in, out         wire.Seq
	headIn, headOut uint32   // lengths of the head, and of what of the body went with it
	bare            uint32   // length of the head that came, alone
	next            wire.Seq // the sender's: the first byte of framing that was not seen; of a whole one, behind its last byte
	left            uint64   // bytes of the body behind next that need not be looked at: numbers reach half of 4 GiB
	counted         bool     // it ends behind them
	begun           bool     // what becomes of it is known
	told            bool     // the App knows that all of it has come
	whole           bool     // its end is known
	stream          bool     // it ends with the stream
	fin             bool     // and the end came
}

// body is where the body begins, in the sender's numbers.
func (m *message) body() wire.Seq { return m.in.Add(m.headIn) }

// forward translates a sender's number at or behind body to the receiver's.
func (m *message) forward(s wire.Seq) wire.Seq { return m.out + wire.Seq(m.headOut) + (s - m.body()) }

// back translates a receiver's number to the sender's. Before the body it is the
// message's first: a head is acknowledged whole.
func (m *message) back(a wire.Seq) wire.Seq {
	if h := m.out.Add(m.headOut); a.Before(h) {
		return m.in
	} else {
		return m.body() + (a - h)
	}
}

// reach is how far ahead of what came next may be.
const reach = 1 << 29

// extend moves next on by k bytes of the body, as far as numbers go.
func (m *message) extend(k uint64) {
	m.left += k
	step := min(m.left, reach)
	m.next = m.next.Add(uint32(step))
	m.left -= step
	m.whole = m.counted && m.left == 0
}

// approach moves next on when what came, up to end, comes near it.
func (m *message) approach(end wire.Seq) {
	for m.left > 0 && end.Distance(m.next) < reach {
		m.extend(0)
	}
}

// slide moves the message's beginning on, in both numbers, once its receiver has
// acknowledged so much of it that comparisons with it would soon mean nothing.
func (m *message) slide(acked wire.Seq) {
	if m.begun && m.out.Add(m.headOut).Distance(acked) > 2*reach {
		m.in, m.out = m.in.Add(reach), m.out.Add(reach)
	}
}

// end is behind the last byte of a whole message, FIN included, in the receiver's numbers.
func (m *message) end() wire.Seq {
	e := m.forward(m.next)
	if m.fin {
		e++
	}
	return e
}

// segment is a frame that came in, and what is known of it.
type segment struct {
	p        *datapath.Packet
	seq, ack wire.Seq
	flags    wire.TCPFlags
	window   uint32 // in bytes
	payload  []byte
	frame    []byte // as it came

	ts           bool
	tsVal, tsEcr uint32
	sacks        [wire.MaxSACKBlocks]wire.SACKBlock
	nsacks       int
	advanced     bool // it acknowledges something new
}

// end is behind the segment's last byte, FIN not counted.
func (s *segment) end() wire.Seq { return s.seq.Add(uint32(len(s.payload))) }

// asks reports whether s, of c's peer, wants to be answered: a keep-alive (RFC 1122
// §4.2.3.6) or zero-window probe repeats what is acknowledged. It is for the other
// end to answer, whose window may have changed.
func (s *segment) asks(c *conn) bool {
	return s.seq == c.acked-1 && len(s.payload) == 0 || len(s.payload) > 0 && s.end().AtOrBefore(c.acked)
}
