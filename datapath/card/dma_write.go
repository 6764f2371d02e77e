package card

import "github.com/meshnic/meshnic/datapath/sim"

// DMAWrite carries frames from the card to the host. A frame that is in the
// card's memory is cut into writes of MaxPayload bytes; they follow each other on
// the link as long as credits are left, and behind the last goes the completion
// that shows the frame to the host. The frame stands at the output one latency
// after the completion has left the card. A credit comes back when the write is
// there and word of it is back: after two latencies.
//
// The card's memory is free again when the frame has left it. What cannot be
// taken waits; only a frame longer than the memory is dropped. The link's time
// for a descriptor's request is counted with the frame's first write.
type DMAWrite struct {
	sim.Losses
	frames
	cfg    DMAConfig
	link   sim.Picos // free from
	credit window
	left   int // frames in front that have left the card
	level  int
}

// NewDMAWrite returns a DMA engine between two wires of one clock.
func NewDMAWrite(cfg DMAConfig, in, out *sim.Wire) *DMAWrite {
	return &DMAWrite{cfg: cfg, frames: newFrames(cfg, in, out), credit: newWindow(cfg.Outstanding)}
}

// Accept is ready while the card has memory for a beat, and a descriptor.
func (d *DMAWrite) Accept() {
	d.in.Take(d.drop || d.level+d.in.Width <= d.cfg.Buffer && (d.open || d.n < len(d.ring)))
}

// Level is how many bytes the card's memory holds.
func (d *DMAWrite) Level() int { return d.level }

// Edge moves beats and gives memory back.
func (d *DMAWrite) Edge(sim.Edges) bool {
	clock := d.in.Clock
	now := clock.At(clock.Now)
	put, got := d.in.Fire(), d.out.Fire()
	changed := put || got
	for d.left < d.n && d.nth(d.left).gone <= now {
		d.level -= d.nth(d.left).bytes
		d.left++
		changed = true
	}
	if got && d.pop() != nil {
		d.left--
	}
	if put {
		b := d.in.Beat
		if !d.open && int(b.Left) > d.cfg.Buffer-d.in.Width {
			d.drop = true
			d.Drop(b.Frame, sim.LossOversize)
		}
		if !d.drop {
			d.level += int(b.Bytes)
		}
		if x := d.take(b); x != nil {
			d.send(x, now)
		}
	}
	return changed
}

// send puts a frame's transactions on the link from time t on.
func (d *DMAWrite) send(x *frame, t sim.Picos) {
	request := 0
	if d.cfg.Descriptor > 0 {
		request = readHeader
		if d.cfg.Fetch {
			t += 2 * d.cfg.Latency
		}
	}
	for n := x.bytes; n > 0; n -= d.cfg.MaxPayload {
		d.write(t, request+min(n, d.cfg.MaxPayload))
		request = 0
	}
	x.gone = d.link
	if d.cfg.Descriptor > 0 {
		d.write(t, d.cfg.Descriptor)
	}
	x.at = d.landed(d.link + d.cfg.Latency)
}

func (d *DMAWrite) write(t sim.Picos, bytes int) {
	d.link = max(d.link, t, d.credit.free()) + d.cfg.Link.Time(bytes+writeHeader)
	d.credit.take(d.link + 2*d.cfg.Latency)
}

// Wake is when the oldest frame is at the host, or memory is given back.
func (d *DMAWrite) Wake() sim.Picos {
	t := d.wake()
	if d.left < d.n {
		clock := d.in.Clock
		t = min(t, clock.At(max(clock.Now, clock.First(d.nth(d.left).gone))))
	}
	return t
}
