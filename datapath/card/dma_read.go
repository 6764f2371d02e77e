package card

import "github.com/meshnic/meshnic/datapath/sim"

// DMARead carries frames from the host to the card. The frame's last beat on the
// input is the doorbell's arrival at the card: the frame lies in the host's
// memory. The card fetches the descriptor, reserves memory for the frame, and
// reads it in requests of MaxRead bytes, Outstanding at most under way; each is
// answered one latency later by completions of MaxPayload bytes that follow each
// other on the link. The frame stands at the output when its last byte is there.
//
// A frame waits with its reads until the card has memory for it; memory is free
// again when the frame has left. Only a frame longer than the memory is dropped.
// The link's time for a descriptor is counted with the frame's first read.
type DMARead struct {
	sim.Losses
	frames
	cfg      DMAConfig
	up, down sim.Picos // the link's two directions are free from
	tags     window
	reading  int // frames in front whose reads are under way or done
	level    int
}

// NewDMARead returns a DMA engine between two wires of one clock.
func NewDMARead(cfg DMAConfig, in, out *sim.Wire) *DMARead {
	return &DMARead{cfg: cfg, frames: newFrames(cfg, in, out), tags: newWindow(cfg.Outstanding)}
}

// Accept is ready while there is a descriptor.
func (d *DMARead) Accept() { d.in.Take(d.open || d.n < len(d.ring)) }

// Level is how many bytes of the card's memory are taken.
func (d *DMARead) Level() int { return d.level }

// Edge moves beats and starts reads.
func (d *DMARead) Edge(sim.Edges) bool {
	clock := d.in.Clock
	put, got := d.in.Fire(), d.out.Fire()
	if got {
		if x := d.pop(); x != nil {
			d.level -= x.bytes
			d.reading--
		}
	}
	if put {
		b := d.in.Beat
		if !d.open && int(b.Left) > d.cfg.Buffer {
			d.drop = true
			d.Drop(b.Frame, sim.LossOversize)
		}
		if x := d.take(b); x != nil {
			x.gone = clock.At(clock.Now) // the doorbell
		}
	}
	for d.reading < d.n && d.level+d.nth(d.reading).bytes <= d.cfg.Buffer {
		d.read(d.nth(d.reading), clock.At(clock.Now))
		d.reading++
	}
	return put || got
}

// read puts a frame's transactions on the link from time t on.
func (d *DMARead) read(x *frame, t sim.Picos) {
	d.level += x.bytes
	request, answer := readHeader, 0
	if d.cfg.Descriptor > 0 {
		request, answer = 2*readHeader, completionHeader+d.cfg.Descriptor
		if d.cfg.Fetch {
			t = max(t, x.gone+d.cfg.Latency)
		}
	}
	for n := x.bytes; n > 0; n -= d.cfg.MaxRead {
		part := min(n, d.cfg.MaxRead)
		answer += part + sim.Beats(part, d.cfg.MaxPayload)*completionHeader
		d.up = max(d.up, t, d.tags.free()) + d.cfg.Link.Time(request)
		d.down = max(d.down, d.up+d.cfg.Latency) + d.cfg.Link.Time(answer)
		d.tags.take(d.down)
		request, answer = readHeader, 0
	}
	x.at = d.landed(d.down)
}

// Wake is when the oldest frame is on the card.
func (d *DMARead) Wake() sim.Picos { return d.wake() }
