package splice

import (
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
	closing  // both FINs are out, ours first, and it is not acknowledged
	lastAck  // the same, the peer's first
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
	flagWaits  // for its endpoint: to be known, or for a word
	flagHolds  // something: see held
	flagV6     // it runs over IPv6
)

// none is the number of no connection.
const none int32 = -1

// conn is one TCP connection, of which this end is ours and the other the peer's:
// three cache lines, of which a segment that passes needs the first two.
type conn struct {
	local, remote Addr
	next          Neighbour
	state         state
	flags         uint16
	tries         uint8 // of what is timed
	sndScale      uint8 // shift of the windows that the peer sends
	rcvScale      uint8 // of those that it gets
	mss           uint16
	told          uint16 // window last told the peer, as on the wire
	peer          int32  // the connection it is joined to

	window uint32   // that the peer last told, in bytes
	sndNxt wire.Seq // behind the last byte that went to the peer
	sndUna wire.Seq // what the peer has acknowledged
	rcvNxt wire.Seq // where the peer's next message begins
	acked  wire.Seq // what the peer was last acknowledged
	seen   wire.Seq // behind the last byte that came from it

	// Timestamps: the peer's latest, the latest it got, and between them the
	// translation of the peer's own for whoever it is joined to.
	tsRecent, tsSent, tsDelta, tsFirst uint32

	since   sim.Cycle // until it is established its first SYN, then when its peer last sent or acknowledged something new
	heldAt  wire.Seq  // where what is held begins
	heldNxt wire.Seq  // the first byte of it that was not sent

	iss, irs wire.Seq

	deadline sim.Cycle // of the connection's own; 0 is none
	app      sim.Cycle // of the App's
	held     *buffer   // of our own, not acknowledged
	gather   *buffer   // of the peer's bytes, in order, what nothing was done about: from rcvNxt on, or from the end of the request under way
	kept     *buffer   // of a client's request, if it may be sent again and its connection is gone
	ep       Endpoint
	link     int32 // the next in its endpoint's list, or of the numbers that are free
	back     int32 // the one before it

	timer struct {
		prev, next int32
		slot       int32 // none if in no slot
	}
}

func (c *conn) has(f uint16) bool { return c.flags&f != 0 }

// newConn returns a connection of which nothing but its addresses is known.
func newConn(remote, local Addr) conn {
	c := conn{remote: remote, local: local, peer: none, link: none, back: none}
	c.timer.slot = none
	if _, v4 := wire.UnmapIPv4(remote.IP); !v4 {
		c.flags = flagV6
	}
	return c
}

// bare is the number of a segment to the peer that has no byte: behind what it was sent, but
// within its window, of which a head takes no heed, or it would not be looked at.
func (c *conn) bare() wire.Seq { return c.sndNxt.Min(c.sndUna.Add(c.window)) }

// room is how many bytes of payload fit a segment to the peer.
func (c *conn) room() int {
	n := int(c.mss)
	if c.has(flagTimestamps) {
		n -= optTimestampsLen
	}
	return n
}
