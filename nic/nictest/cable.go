package nictest

import (
	"math/rand/v2"
	"time"

	"github.com/meshnic/meshnic/datapath/wire"
)

// Cable is one direction of a host's link. The probabilities are per frame, 0 to
// 1, and independent of each other.
type Cable struct {
	Latency time.Duration // 0: 50 us

	Loss      float64 // the frame never arrives
	Duplicate float64 // a copy arrives a little later
	Reorder   float64 // frames sent up to ReorderBy later overtake it
	Corrupt   float64 // one byte behind the Ethernet header changes
	Stall     float64 // it and all behind it arrive later by up to StallBy
	Split     float64 // a TCP segment arrives as two
	Coalesce  float64 // a TCP segment arrives as one with that sent right before it
	Super     float64 // the same, of up to 64 KiB: what segmentation offload leaves to a card

	ReorderBy time.Duration // 0: 1 ms
	StallBy   time.Duration // 0: 300 ms, longer than gVisor's least retransmission timeout
}

const (
	defaultLatency   = 50 * time.Microsecond
	defaultReorderBy = time.Millisecond
	defaultStallBy   = 300 * time.Millisecond
)

// Faults counts what a cable has done.
type Faults struct {
	Frames, Lost, Duplicated, Reordered, Corrupted, Stalled, Split, Coalesced int
}

// cable carries the frames of one direction.
type cable struct {
	Cable
	w       *World
	name    string // in traces
	limit   int    // longest frame
	dice    *rand.Rand
	deliver func(frame []byte)
	burst   [][]byte      // sent at this instant
	clear   time.Duration // earliest arrival of the next frame: order is kept
	n       Faults
}

func newCable(w *World, c Cable, name string, mtu int, stream uint64, deliver func([]byte)) *cable {
	if c.Latency == 0 {
		c.Latency = defaultLatency
	}
	if c.ReorderBy == 0 {
		c.ReorderBy = defaultReorderBy
	}
	if c.StallBy == 0 {
		c.StallBy = defaultStallBy
	}
	return &cable{Cable: c, w: w, name: name, limit: mtu + wire.EthernetLen, dice: rand.New(rand.NewPCG(w.cfg.Seed, stream)), deliver: deliver}
}

// send puts a frame, which the cable keeps, on its way at the end of the instant.
func (c *cable) send(frame []byte) {
	if c.burst = append(c.burst, frame); len(c.burst) == 1 {
		c.w.add(c.w.Now(), c.flush)
	}
}

// flush merges, splits and sends what was sent at one instant.
func (c *cable) flush() {
	burst := c.burst
	c.burst = nil
	for i := 0; i < len(burst); i++ {
		f := burst[i]
		for i+1 < len(burst) {
			limit := c.limit
			if c.hit(c.Super) {
				limit = 65535 + wire.EthernetLen
			} else if !c.hit(c.Coalesce) {
				break
			}
			m, ok := merge(f, burst[i+1], limit)
			if !ok {
				break
			}
			c.n.Coalesced++
			f = m
			i++
		}
		if c.hit(c.Split) {
			if _, t, ok := sound(f); ok && len(t.Payload()) > 1 {
				c.n.Split++
				var first []byte
				first, f = split(f, 1+c.dice.IntN(len(t.Payload())-1))
				c.carry(first)
			}
		}
		c.carry(f)
	}
}

func (c *cable) hit(p float64) bool { return p > 0 && c.dice.Float64() < p }

// carry has one frame arrive: once, twice or never.
func (c *cable) carry(f []byte) {
	c.n.Frames++
	now := c.w.Now()
	if c.hit(c.Loss) {
		c.n.Lost++
		c.w.trace(c.name, f, "lost")
		return
	}
	note := ""
	if c.hit(c.Corrupt) && corrupt(f, c.dice.Uint64()) {
		c.n.Corrupted++
		note = "corrupted"
	}
	at := now + c.Latency
	if c.hit(c.Stall) {
		c.n.Stalled++
		at += c.upTo(c.StallBy)
	}
	at = max(at, c.clear)
	c.clear = at
	if c.hit(c.Reorder) {
		c.n.Reordered++
		at += c.upTo(c.ReorderBy)
	}
	c.arrive(at, f, note)
	if c.hit(c.Duplicate) {
		c.n.Duplicated++
		c.arrive(at+c.upTo(c.ReorderBy), append([]byte(nil), f...), note+"copy")
	}
}

func (c *cable) upTo(d time.Duration) time.Duration {
	return 1 + time.Duration(c.dice.Int64N(int64(d)))
}

func (c *cable) arrive(at time.Duration, f []byte, note string) {
	c.w.add(at, func() {
		c.w.trace(c.name, f, note)
		c.deliver(f)
	})
}
