package sim

// Chan is a Wire as the maxplus engine sees it: not what stands on it in a
// cycle, but in which cycles each of its beats came and went. Beats are counted
// from 0; cycles are those of the wire's clock.
//
// A beat k has the earliest cycle at which its producer can show it, the cycle
// at which it was first offered (the later of that and the cycle after beat k-1
// was accepted), and the cycle at which it was accepted. The producer tells the
// first with Put, the consumer the last with Accept, in the order of the beats.
type Chan struct {
	Wire *Wire

	sent, taken uint64
	from        [places]Cycle // by beat: earliest cycle shown
	done        [places]Cycle // by beat: the cycle after it was accepted
	beat        [places]Beat
	see         Observer
	end         *end // of the network, if this is one
}

const (
	places = 64 // a power of two
	// Past is how many accepted beats a Chan remembers at least; counted from
	// the last that was put, 63.
	Past = 16
)

// Sent is how many beats the producer is known to show.
func (c *Chan) Sent() uint64 { return c.sent }

// Taken is how many beats are known to be accepted.
func (c *Chan) Taken() uint64 { return c.taken }

// Next reports whether a beat waits that is not known to be accepted.
func (c *Chan) Next() bool { return c.taken < c.sent }

// Room reports whether another Put fits.
func (c *Chan) Room() bool { return c.sent-c.taken < places-Past }

// Shown is the cycle at which the beat that waits is first offered.
func (c *Chan) Shown() Cycle {
	return max(c.from[c.taken%places], c.done[(c.taken-1)%places])
}

// Head is the beat that waits. It is not to be changed.
func (c *Chan) Head() *Beat { return &c.beat[c.taken%places] }

// Done is the cycle after beat k was accepted: one of the last Past beats. It
// is 0 for the beats before the first.
func (c *Chan) Done(k uint64) Cycle { return c.done[k%places] }

// Put says that the next beat is b, which can be shown from the given cycle.
func (c *Chan) Put(from Cycle, b *Beat) {
	c.from[c.sent%places], c.beat[c.sent%places] = from, *b
	c.sent++
	if c.see != nil && c.sent == c.taken+1 {
		c.see.Offered(c.Wire, c.Shown(), *b)
	}
}

// Accept says that the beat that waits is accepted at a cycle, which is not
// before it is shown.
func (c *Chan) Accept(at Cycle) {
	if c.end != nil {
		c.end.pass(c.Shown(), at, c.Head())
	}
	c.done[c.taken%places] = at + 1
	c.taken++
	if c.see != nil {
		c.see.Accepted(c.Wire, at, c.beat[(c.taken-1)%places])
		if c.Next() {
			c.see.Offered(c.Wire, c.Shown(), *c.Head())
		}
	}
}
