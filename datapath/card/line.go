package card

import "github.com/meshnic/meshnic/datapath/sim"

// What a frame takes on an Ethernet line besides its bytes.
//
// Source: IEEE 802.3 clauses 3 (preamble and start delimiter, FCS, minimum of 64
// with FCS) and 46.3.1.4 / 82.2.4 (a mean gap of 12 by deficit idle count).
const (
	preamble = 8
	fcs      = 4
	gap      = 12
	minFrame = 60 // without FCS
)

// line is one direction of an Ethernet line: it says when each byte of a frame
// passes. With deficit idle count a gap is longer or shorter than 12 bytes by up
// to a word, with 12 as the mean; the line has the mean every time.
type line struct {
	byteTime sim.Picos // 80 at 100 Gbit/s, 320 at 25, 800 at 10
	free     sim.Picos // when the next frame may start
	start    sim.Picos // of the frame that passes
	begun    bool
	inside   bool      // some of the frame's beats have been taken, which may have been empty
	got      int       // bytes of the frame that have been taken
	next     sim.Cycle // the edge after the last beat
	edge     sim.Cycle // the first at which the next beat can move, were it due
}

func newLine(gbps int) line { return line{byteTime: sim.Picos(8000 / gbps)} }

// startAt is when the frame that stands on the wire at edge now starts. One that
// stands at the first edge after the last one has been waiting for the line.
func (l *line) startAt(d *sim.Domain, now sim.Cycle) sim.Picos {
	switch {
	case l.begun:
		return l.start
	case now == l.next:
		return l.free
	}
	return max(l.free, d.At(now))
}

// due is when byte n of the frame (0 is the preamble's first) has passed.
func (l *line) due(d *sim.Domain, now sim.Cycle, n int) sim.Picos {
	return l.startAt(d, now) + sim.Picos(n)*l.byteTime
}

// begin fixes the start of the frame on the wire, and reports whether it had not
// been.
func (l *line) begin(d *sim.Domain, now sim.Cycle) bool {
	if l.begun {
		return false
	}
	l.start, l.begun, l.edge = l.startAt(d, now), true, now
	return true
}

// take notes that beat b, due at t, moves at edge now. It reports whether it
// could have moved at an earlier one: then the line has waited in the middle of
// a frame, and what follows shifts.
func (l *line) take(d *sim.Domain, now sim.Cycle, b *sim.Beat, t sim.Picos) (late bool) {
	if late = now > l.edge && d.At(now-1) >= t; late {
		l.start += d.At(now) - max(t, d.At(l.edge))
	}
	late = late && l.inside
	l.passed(now, b)
	return late
}

func (l *line) passed(now sim.Cycle, b *sim.Beat) {
	l.got += int(b.Bytes)
	l.next = now + 1
	l.edge = l.next
	if b.Last {
		l.close()
	}
	l.inside = !b.Last
}

func (l *line) close() {
	l.free = l.start + sim.Picos(preamble+max(l.got, minFrame)+fcs+gap)*l.byteTime
	l.begun, l.got = false, 0
}

// run takes beats of the frame inside which the line is, as long as they have been
// waiting for the line, up to its last; each moves when byte due is there before it
// or, with whole, when it has passed. It returns how many they are; done is the cycle
// after each.
func (l *line) run(d *sim.Domain, from, done []sim.Cycle, beat []sim.Beat, due int, whole bool) (n int) {
	edge, start, got, ahead := l.edge, l.start+sim.Picos(due)*l.byteTime, l.got, 0
	done, beat = done[:len(from)], beat[:len(from)]
	for inside := l.inside; n < len(from) && inside; n++ {
		b := &beat[n]
		if from[n] > edge || b.First {
			break
		}
		if whole {
			ahead = int(b.Bytes)
		}
		edge = max(edge, d.First(start+sim.Picos(got+ahead)*l.byteTime)) + 1
		done[n] = edge
		got += int(b.Bytes)
		inside = !b.Last
	}
	if n == 0 {
		return 0
	}
	l.edge, l.next, l.got = edge, edge, got
	if l.inside = !beat[n-1].Last; !l.inside {
		l.close()
	}
	return n
}

// wake is the first edge at or after t that is still to come.
func (l *line) wake(d *sim.Domain, t sim.Picos) sim.Picos {
	return d.At(max(d.Now, d.First(t)))
}

// firstFrom is the first edge from edge c on that is at or after t: mostly one of
// the next.
func firstFrom(d *sim.Domain, c sim.Cycle, t sim.Picos) sim.Cycle {
	for at := d.At(c); at < t; at += d.Period {
		if t-at > 4*d.Period {
			return d.First(t)
		}
		c++
	}
	return c
}
