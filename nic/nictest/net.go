package nictest

import (
	"errors"
	"net/netip"
	"time"
)

// What Conn's methods fail with, besides io.EOF where the peer has ended its
// stream.
var (
	ErrAgain   = errors.New("nictest: not now") // the callback of Notify says when
	ErrReset   = errors.New("nictest: connection reset")
	ErrRefused = errors.New("nictest: connection refused")
	ErrTimeout = errors.New("nictest: connection timed out")
)

// TCP is a host's transport and clock as a conversation needs them. Its methods,
// those of its connections and all callbacks belong to one goroutine, the loop
// that moves time.
type TCP interface {
	// Now is the time since the loop began.
	Now() time.Duration
	// After calls f once, d from now.
	After(d time.Duration, f func())
	// Dial opens a connection and returns without waiting for it.
	Dial(to netip.AddrPort, s Socket) (Conn, error)
	// Listen calls accept for each connection to at, until the host ends.
	Listen(at netip.AddrPort, s Socket, accept func(Conn)) error
}

// Socket is how a connection is set up.
type Socket struct {
	ReceiveBuffer int // bytes, at least MinBuffer; 0: the host's. The window is half of it
}

// MinBuffer is the smallest receive buffer of a Host; on a cable of more than 2 KiB
// MTU it is eight times that. gVisor charges a segment 636 bytes besides its data
// and keeps a quarter of the buffer for those that are missing: in one of 4 KiB
// those that came out of order have been seen to leave no room, so that it refused
// the missing one for ever; and in one of less than two segments, half of it one
// window, to hold a window of 0 for ever.
const MinBuffer = 16 << 10

// Conn is a connection whose calls don't block.
type Conn interface {
	// Notify has f called after anything may have changed: f must ask.
	Notify(f func())
	// Read takes what has arrived. It fails with ErrAgain, io.EOF, or why the
	// connection broke.
	Read(p []byte) (int, error)
	// Write queues bytes, as many as there is room for; it fails with ErrAgain if
	// there is none or the connection is not there yet, which is all that a Write
	// of nothing tells.
	Write(p []byte) (int, error)
	// CloseWrite ends the stream to the peer.
	CloseWrite() error
	// Close is close(2): no more reading either. What arrives afterwards is
	// answered by RST.
	Close() error
	// Reset closes with a linger time of 0: RST.
	Reset() error
}
