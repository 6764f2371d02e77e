package card

import (
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// DMAConfig is one direction of a DMA engine.
type DMAConfig struct {
	Link        Link
	MaxPayload  int       // bytes of a write or a completion
	MaxRead     int       // bytes of a read request
	Latency     sim.Picos // of a read, there and back; of a write, there
	Outstanding int       // reads under way; writes whose credits are not back
	Buffer      int       // bytes on the card
	Frames      int       // descriptors: frames inside at most
	Descriptor  int       // bytes of a descriptor and of its completion; 0: there are none
	Fetch       bool      // a descriptor is fetched when its frame is there, not ahead
}

// frame is a frame inside a DMA engine.
type frame struct {
	id    uint32
	off   int32
	bytes int
	dest  uint8
	bad   bool
	gone  sim.Picos // write: the last of it has left the card
	at    sim.Cycle // it stands at the output from here on; never: not decided
}

// frames is a ring of frames with one that comes in behind them.
type frames struct {
	in, out *sim.Wire
	ring    []frame
	head, n int
	coming  frame // bytes counts what is in
	open    bool
	drop    bool
	sent    int // bytes of the front frame that have left
}

func (f *frames) nth(i int) *frame {
	if i += f.head; i >= len(f.ring) {
		i -= len(f.ring)
	}
	return &f.ring[i]
}

// Ports returns the two wires.
func (f *frames) Ports() (in, out []*sim.Wire) { return []*sim.Wire{f.in}, []*sim.Wire{f.out} }

// Offer drives the next beat of the oldest frame when its time has come.
func (f *frames) Offer() {
	if f.n == 0 || f.nth(0).at > f.out.Clock.Now {
		f.out.Put(false, sim.Beat{})
		return
	}
	f.out.Put(true, f.beat())
}

// beat is the next beat of the oldest frame.
func (f *frames) beat() sim.Beat {
	x := f.nth(0)
	b := sim.BeatAt(sim.Frame{ID: x.id, Bytes: x.bytes, Dest: x.dest, Bad: x.bad}, f.sent, f.out.Width)
	b.Off += x.off
	return b
}

// pop moves on behind the beat that left, and returns the frame if it was the
// last of it.
func (f *frames) pop() *frame { return f.behind(&f.out.Beat) }

func (f *frames) behind(b *sim.Beat) *frame {
	if f.sent += int(b.Bytes); !b.Last {
		return nil
	}
	x := f.nth(0)
	f.sent = 0
	f.n--
	if f.head++; f.head == len(f.ring) {
		f.head = 0
	}
	return x
}

// take adds a beat to the frame that comes in, and returns it when it is whole.
func (f *frames) take(b sim.Beat) *frame {
	if !f.open {
		f.coming = frame{id: b.Frame, off: b.Off, dest: b.Dest, at: never}
	}
	f.open = !b.Last
	f.coming.bytes += int(b.Bytes)
	f.coming.bad = b.Bad
	if f.open {
		return nil
	}
	if f.drop {
		f.drop = false
		return nil
	}
	f.n++
	x := f.nth(f.n - 1)
	*x = f.coming
	return x
}

// wake is when the oldest frame stands at the output.
func (f *frames) wake() sim.Picos {
	if f.n == 0 {
		return sim.Never
	}
	return wakeAt(f.out.Clock, f.nth(0).at)
}

func newFrames(cfg DMAConfig, in, out *sim.Wire) frames {
	if in.Clock != out.Clock {
		panic("card: DMA from " + in.Name + " to " + out.Name + ": want one clock")
	}
	return frames{in: in, out: out, ring: make([]frame, cfg.Frames)}
}

// landed is the first edge at or after t.
func (f *frames) landed(t sim.Picos) sim.Cycle { return f.out.Clock.First(t) }

// dmaParams are the parameters of both directions. Sources of the defaults: GEN and LANES as Corundum's reference
// designs on UltraScale+ cards (gen 3 x16); MPS 256 and MRRS 512 as the SIGCOMM
// 2018 paper's model; 32 reads outstanding, which a 5-bit tag can tell apart (PCIe
// base specification 2.2.6.2); 64 writes are an assumption, root ports differ;
// descriptors of 16 bytes as Corundum's.
func dmaParams(latency, fetch, outstanding float64, doc string, more ...module.Param) []module.Param {
	return append([]module.Param{
		module.Width("DATA_WIDTH"),
		{Name: "GEN", Default: 3, Allowed: []float64{1, 2, 3, 4, 5}, Doc: "PCIe generation"},
		{Name: "LANES", Default: 16, Allowed: []float64{1, 2, 4, 8, 16}, Doc: "PCIe lanes"},
		module.Power("MPS", 256, 128, 4096, "maximum payload size in bytes"),
		{Name: "LATENCY_NS", Default: latency, Min: 1, Max: 1_000_000, Doc: "latency in ns: of a read, there and back; of a write, there"},
		module.Count("OUTSTANDING", outstanding, 1, 1024, doc),
		module.Power("BUFFER", 1<<17, 1<<10, 1<<24, "bytes of memory on the card"),
		module.Power("DESCRIPTORS", 1024, 1, 1<<16, "frames inside at most"),
		module.Count("DESC_BYTES", 16, 0, 256, "bytes of a descriptor, and of the completion written for it; 0: no descriptors"),
		module.Flag("DESC_FETCH", fetch, "1: fetch a descriptor when its frame is there (one read more), 0: ahead of it"),
	}, more...)
}

func dmaConfig(a module.Args) DMAConfig {
	return DMAConfig{
		Link: NewLink(a.Int("GEN"), a.Int("LANES")), MaxPayload: a.Int("MPS"), Latency: picos(a.Float("LATENCY_NS")),
		Outstanding: a.Int("OUTSTANDING"), Buffer: a.Int("BUFFER"), Frames: a.Int("DESCRIPTORS"),
		Descriptor: a.Int("DESC_BYTES"), Fetch: a.Bool("DESC_FETCH"),
	}
}

const dmaSource = "Neugebauer et al., Understanding PCIe performance for end host networking, SIGCOMM 2018: sizes of pcie-bench/pcie-model@40703cfeb6c7, latency of pcie-bench/data@b2abf2f78ac2 (median DMA read of 64 bytes, Xeon E5-2620v3; a write is half of it)"

var dmaWrite = module.Module{
	Name:   "dma_write",
	Source: dmaSource,
	Doc:    "card to host over PCIe: store and forward, posted writes",
	Stores: true,
	Params: dmaParams(writeNanos, 0, 64, "writes whose flow control credits are not back"),
	Ports:  same,
	Build:  func(s *module.Site) { s.Add("", NewDMAWrite(dmaConfig(s.Args), s.In[0], s.Out[0])) },
}

var dmaRead = module.Module{
	Name:   "dma_read",
	Source: dmaSource,
	Doc:    "host to card over PCIe: descriptor fetch, reads, store and forward",
	Stores: true,
	Params: dmaParams(readNanos, 1, 32, "reads under way (tags)", module.Power("MRRS", 512, 128, 4096, "maximum read request size in bytes")),
	Ports:  same,
	Build: func(s *module.Site) {
		cfg := dmaConfig(s.Args)
		cfg.MaxRead = s.Args.Int("MRRS")
		s.Add("", NewDMARead(cfg, s.In[0], s.Out[0]))
	},
}
