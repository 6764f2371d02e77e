package sim

// Chan is a Wire as the maxplus engine sees it: not what stands on it in a
// cycle, but in which cycles each of its beats came and went. Beats are counted
// from 0; cycles are those of the wire's clock.
//
// A beat k has the earliest cycle at which its producer can show it, the cycle
// at which it was first offered (the later of that and the cycle after beat k-1
// was accepted), and the cycle at which it was accepted. The producer tells the
// first with Put, the consumer the last with Accept, in the order of the beats.
//
// A consumer that will be ready whenever a beat is shown says so beforehand with
// Promise. Then Done is known with Put, and a stage can move a batch without
// asking for each beat what the stages behind it do.
type Chan struct {
	Wire *Wire

	sent     uint64 // beats put
	taken    uint64 // beats of which the cycle of acceptance is known
	read     uint64 // beats that the consumer has seen go by
	promised uint64 // beats before this are accepted when shown
	slow     bool   // somebody watches
	full     bool   // the producer found no room
	producer wake
	consumer wake

	from [places]Cycle // by beat, if it was not promised: earliest cycle shown
	done [places]Cycle // by beat: the cycle after it was accepted
	beat [places]Beat
	see  Observer
	end  *end // of the network, if this is one
}

const (
	places = 128 // a power of two
	// Past is how many accepted beats a Chan remembers at least; counted from
	// the last that was put, 127.
	Past = 64
)

// Sent is how many beats the producer is known to show.
func (c *Chan) Sent() uint64 { return c.sent }

// Taken is how many beats are known to be accepted: for the producer.
func (c *Chan) Taken() uint64 { return c.taken }

// Read is how many beats Accept was called for: the number of the consumer's
// next beat.
func (c *Chan) Read() uint64 { return c.read }

// Next reports whether a beat waits for the consumer's Accept.
func (c *Chan) Next() bool { return c.read < c.sent }

// Room reports whether another Put fits.
func (c *Chan) Room() bool { return c.Fits(1) }

// Fits reports whether so many Puts fit.
func (c *Chan) Fits(beats uint64) bool {
	if c.sent+beats <= c.read+places-Past {
		return true
	}
	c.full = true
	return false
}

// Shown is the cycle at which the consumer's next beat is first offered.
func (c *Chan) Shown() Cycle {
	if c.read < c.taken {
		return c.done[c.read%places] - 1
	}
	return max(c.from[c.read%places], c.done[(c.read-1)%places])
}

// Head is the consumer's next beat. It is not to be changed.
func (c *Chan) Head() *Beat { return &c.beat[c.read%places] }

// Done is the cycle after beat k was accepted: one of the last Past beats. It
// is 0 for the beats before the first.
func (c *Chan) Done(k uint64) Cycle { return c.done[k%places] }

// Put says that the next beat is b, which can be shown from the given cycle.
func (c *Chan) Put(from Cycle, b *Beat) {
	i := c.sent % places
	c.from[i] = from
	c.beat[i] = *b
	c.sent++
	c.consumer.wake()
	if c.sent <= c.promised {
		c.done[i] = max(from, c.done[(i-1)%places]) + 1
		c.taken++
		if c.slow {
			c.tell(c.taken - 1)
		}
	} else if c.slow && c.sent == c.taken+1 {
		c.show(i, max(from, c.done[(i-1)%places]))
	}
}

// Accept says that the consumer's next beat is accepted at a cycle, which is not
// before it is shown.
func (c *Chan) Accept(at Cycle) {
	i := c.read % places
	c.read++
	if c.full {
		c.full = false
		c.producer.wake()
	}
	if c.read <= c.taken {
		if c.done[i] != at+1 {
			panic("sim: " + c.Wire.Name + ": a beat was promised to be accepted when shown, and was not")
		}
		return
	}
	c.taken++
	c.done[i] = at + 1
	c.producer.wake()
	if c.slow {
		c.passed(i)
	}
}

// Promised is how many beats are promised to be accepted when they are shown.
func (c *Chan) Promised() uint64 { return c.promised }

// Promise is the consumer's word that it accepts the beats before number until
// in the cycles in which they are shown. It has accepted all that there are.
func (c *Chan) Promise(until uint64) {
	if c.read != c.sent {
		panic("sim: " + c.Wire.Name + ": a promise with beats waiting")
	}
	if until > c.promised {
		c.promised = until
		c.producer.wake()
	}
}

// Beat is beat k, one of the last 127 that were put.
func (c *Chan) Beat(k uint64) *Beat { return &c.beat[k%places] }

// show tells that the beat at a place stands on the wire, passed that it was
// accepted and what stands there then, tell all of a beat that was promised to be
// accepted.
func (c *Chan) show(i uint64, at Cycle) {
	if c.see != nil {
		c.see.Offered(c.Wire, at, c.beat[i])
	}
}

func (c *Chan) passed(i uint64) {
	c.pass(i, max(c.from[i], c.done[(i-1)%places]))
	if i = (i + 1) % places; c.taken < c.sent {
		c.show(i, max(c.from[i], c.done[(i-1)%places]))
	}
}

func (c *Chan) tell(k uint64) {
	i := k % places
	c.show(i, c.done[i]-1)
	c.pass(i, c.done[i]-1)
}

// passEnd tells of accepted beats at an end of the network, which were promised to
// be accepted or not.
func (c *Chan) passEnd(k, beats uint64, promised bool) {
	if c.end == nil {
		return
	}
	for until := k + beats; k < until; {
		i := k % places
		beat := c.beat[i:min(i+until-k, places)]
		for j := range beat {
			if b := &beat[j]; b.Last || b.First {
				at := c.done[i+uint64(j)] - 1
				shown := at
				if !promised {
					shown = max(c.from[i+uint64(j)], c.done[(i+uint64(j)-1)%places])
				}
				c.end.pass(shown, at, b)
			}
		}
		k += uint64(len(beat))
	}
}

func (c *Chan) pass(i uint64, shown Cycle) {
	b := &c.beat[i]
	if c.end != nil && (b.First || b.Last) {
		c.end.pass(shown, c.done[i]-1, b)
	}
	if c.see != nil {
		c.see.Accepted(c.Wire, c.done[i]-1, *b)
	}
}

// wake marks the flow at one end of a channel as having something to do.
type wake struct {
	word *uint64
	bit  uint64
}

func (w wake) wake() { *w.word |= w.bit }
