package nictest

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshnic/meshnic/datapath/wire"
)

// Stall is a host's own fault: it had bytes to send or that were not acknowledged,
// and sent nothing for longer than any retransmission or window probe waits. No
// card can bring a TCP to that. gVisor comes to it, mostly with small windows, in 7
// of 40,000 random conversations: an old acknowledgement that was overtaken opens
// one that had closed since, or what is left of one is less than a segment.
type Stall struct {
	Port          int // the host's
	Local, Remote uint16
	Since         time.Duration
	Left          int // bytes unacknowledged, FIN counted
}

func (s Stall) String() string {
	return fmt.Sprintf("host on port %d, %d > %d: silent since %v with %d bytes unacknowledged",
		s.Port, s.Local, s.Remote, s.Since, s.Left)
}

const (
	// stallTime is well beyond maxRTO, questions for the neighbour's address included.
	stallTime = 3 * maxRTO
	// triesEnough is how many segments without an answer show that a host does try.
	// It gives up after 15 (tcp.MaxRetries), and then is silent by right.
	triesEnough = 10
)

type flowKey struct {
	remote            [16]byte
	local, remotePort uint16
}

// flow is what a host's cable and its sockets show of one direction.
type flow struct {
	isn, una, next wire.Seq
	queued         wire.Seq      // behind the last byte that the socket took, FIN counted
	active         time.Duration // when something was last sent or queued
	tries          int           // segments since una moved
}

// watch follows the flows of one host.
type watch struct {
	port   int
	flows  map[flowKey]*flow
	stalls []Stall
}

// sends sees what the host sends.
func (w *watch) sends(now time.Duration, frame []byte) {
	_, dst, t, ok := tcpOf(frame)
	if !ok {
		return
	}
	k := flowKey{dst, t.SrcPort(), t.DstPort()}
	f := w.flows[k]
	if f != nil {
		w.judge(now, k, f)
	}
	if t.Flags().Has(wire.RST) {
		delete(w.flows, k)
		return
	}
	if t.Flags().Has(wire.SYN) && (f == nil || t.Seq() != f.isn) {
		f = &flow{isn: t.Seq(), una: t.Seq(), next: t.Seq(), queued: t.Seq() + 1}
		w.flows[k] = f
	}
	if f == nil {
		return
	}
	end := t.Seq().Add(uint32(len(t.Payload())))
	for _, flag := range []wire.TCPFlags{wire.SYN, wire.FIN} {
		if t.Flags().Has(flag) {
			end++
		}
	}
	f.next, f.active = f.next.Max(end), now
	if end != t.Seq() {
		f.tries++
	}
}

// queues sees what a socket takes, FIN counted.
func (w *watch) queues(now time.Duration, k flowKey, n int) {
	if f := w.flows[k]; f != nil {
		w.judge(now, k, f)
		f.queued, f.active = f.queued.Add(uint32(n)), now
	}
}

// receives sees what arrives at the host.
func (w *watch) receives(now time.Duration, frame []byte) {
	src, _, t, ok := tcpOf(frame)
	if _, _, v4 := ipv4TCP(frame); !ok || !wire.L4ChecksumOK(frame) || v4 && !wire.IPv4(frame[wire.EthernetLen:]).ChecksumOK() {
		return
	}
	k := flowKey{src, t.DstPort(), t.SrcPort()}
	f := w.flows[k]
	if f == nil {
		return
	}
	w.judge(now, k, f)
	switch {
	case t.Flags().Has(wire.RST):
		delete(w.flows, k)
	case t.Flags().Has(wire.ACK) && t.Ack().After(f.una) && t.Ack().AtOrBefore(f.next):
		f.una, f.tries = t.Ack(), 0
	}
}

// judge notes a stall that is over, or goes on.
func (w *watch) judge(now time.Duration, k flowKey, f *flow) {
	left := f.una.Distance(f.next.Max(f.queued))
	if f.una != f.isn && left > 0 && f.tries < triesEnough && now-f.active > stallTime {
		w.stalls = append(w.stalls, Stall{w.port, k.local, k.remotePort, f.active, left})
	}
}

// all returns what was noted and what goes on.
func (w *watch) all(now time.Duration) []Stall {
	v := *w
	v.stalls = slices.Clone(w.stalls)
	for k, f := range w.flows {
		v.judge(now, k, f)
	}
	slices.SortFunc(v.stalls, func(a, b Stall) int { return int(a.Since - b.Since) })
	return v.stalls
}
