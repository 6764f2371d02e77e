package nictest

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Ending is how a stream ended for who reads it.
type Ending uint8

// The endings.
const (
	Open Ending = iota // it had not
	EOF                // by FIN
	Reset
	Refused
	TimedOut
	Broken // in a way that Stream.Why tells
)

var endingNames = [...]string{"open", "FIN", "RST", "refused", "timeout", "broken"}

func (e Ending) String() string { return endingNames[e] }

// Stream is what one end of a connection wrote and read.
type Stream struct {
	Sent     []byte // taken by the host's TCP
	Received []byte
	Ended    Ending // what was received
	Why      string
	Left     string // how this end left: "", close, reset, gave up
	EndedAt  time.Duration
	LeftAt   time.Duration
}

// peer is one end of a connection at work.
type peer struct {
	net     TCP
	conn    Conn
	reading Reading
	rec     *Stream

	out     []byte // to be written
	fin     bool   // end the stream behind it
	finned  bool
	resting bool // between two reads
	buf     []byte
	active  time.Duration // when something last moved
	moved   func()        // called after reads and writes
}

func newPeer(net TCP, conn Conn, r Reading, rec *Stream) *peer {
	if r.Size == 0 {
		r.Size = 64 << 10
	}
	p := &peer{net: net, conn: conn, reading: r, rec: rec, buf: make([]byte, min(r.Size, 64<<10)), active: net.Now()}
	p.watch()
	return p
}

// start begins to listen to the connection.
func (p *peer) start() {
	p.conn.Notify(p.ready)
	p.ready()
}

func (p *peer) gone() bool { return p.rec.Left != "" }

// watch resets the connection after too long a silence.
func (p *peer) watch() {
	p.net.After(patience, func() {
		switch {
		case p.gone():
		case p.net.Now()-p.active >= patience:
			p.leave("gave up")
		default:
			p.watch()
		}
	})
}

func (p *peer) ready() {
	if p.gone() {
		return
	}
	p.write()
	p.read()
	p.moved()
}

func (p *peer) write() {
	for len(p.out) > 0 && !p.gone() {
		n, err := p.conn.Write(p.out)
		if err != nil {
			if !errors.Is(err, ErrAgain) {
				p.out = nil // how the stream ended is read's to tell
			}
			return
		}
		p.active = p.net.Now()
		p.rec.Sent = append(p.rec.Sent, p.out[:n]...)
		p.out = p.out[n:]
	}
	if p.fin && !p.finned && !p.gone() && len(p.out) == 0 {
		p.finned = p.conn.CloseWrite() == nil
		p.active = p.net.Now()
	}
}

func (p *peer) read() {
	for p.rec.Ended == Open && !p.resting && !p.gone() {
		n, err := p.conn.Read(p.buf)
		if n > 0 {
			p.active = p.net.Now()
			p.rec.Received = append(p.rec.Received, p.buf[:n]...)
			if p.reading.Every > 0 {
				p.resting = true
				p.net.After(p.reading.Every, func() {
					p.resting = false
					p.ready()
				})
			}
			continue
		}
		if errors.Is(err, ErrAgain) {
			return
		}
		p.ended(err)
	}
}

func (p *peer) ended(err error) {
	p.rec.EndedAt = p.net.Now()
	switch {
	case errors.Is(err, io.EOF):
		p.rec.Ended = EOF
	case errors.Is(err, ErrReset):
		p.rec.Ended = Reset
	case errors.Is(err, ErrRefused):
		p.rec.Ended = Refused
	case errors.Is(err, ErrTimeout):
		p.rec.Ended = TimedOut
	default:
		p.rec.Ended, p.rec.Why = Broken, fmt.Sprint(err)
	}
}

// leave closes the connection: "close", or with RST.
func (p *peer) leave(how string) {
	if p.gone() {
		return
	}
	p.rec.Left, p.rec.LeftAt = how, p.net.Now()
	if how == "close" {
		p.conn.Close()
		return
	}
	p.conn.Reset()
}
