package nictest

import (
	"time"

	"github.com/meshnic/meshnic/datapath/wire"
)

// Card is what lies between the hosts: a NIC, or in a test of the harness a wire
// or a switch. A World calls it from one goroutine, with a now that never goes
// back.
type Card interface {
	// Frame takes a frame that arrives at a port at time now and calls out for
	// every frame that leaves. Frames are valid during the call; Frame may write
	// to its own.
	Frame(now time.Duration, port int, frame []byte, out func(port int, frame []byte))
	// Due does what is due at now and returns when something will be next; ok is
	// false if nothing is. It is asked after the frames of an instant and when
	// that time has come.
	Due(now time.Duration, out func(port int, frame []byte)) (next time.Duration, ok bool)
}

// Wire is a Card of two ports that passes everything.
type Wire struct{}

// Frame passes the frame to the other port.
func (Wire) Frame(_ time.Duration, port int, frame []byte, out func(int, []byte)) { out(port^1, frame) }

// Due has nothing to do.
func (Wire) Due(time.Duration, func(int, []byte)) (time.Duration, bool) { return 0, false }

// Switch is a Card of any number of ports that learns addresses and floods
// frames to those it doesn't know.
type Switch struct {
	Ports int
	at    map[wire.MAC]int
}

// Frame learns the source and passes the frame on. What is no Ethernet frame ends
// here.
func (s *Switch) Frame(_ time.Duration, port int, frame []byte, out func(int, []byte)) {
	h := wire.Ethernet(frame)
	if !h.Valid() {
		return
	}
	if s.at == nil {
		s.at = map[wire.MAC]int{}
	}
	if src := h.Src(); !src.IsMulticast() {
		s.at[src] = port
	}
	if to, ok := s.at[h.Dst()]; ok {
		if to != port {
			out(to, frame)
		}
		return
	}
	for p := range s.Ports {
		if p != port {
			out(p, frame)
		}
	}
}

// Due has nothing to do.
func (*Switch) Due(time.Duration, func(int, []byte)) (time.Duration, bool) { return 0, false }
