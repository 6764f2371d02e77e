package card

import "github.com/meshnic/meshnic/datapath/sim"

// Bytes of a PCIe transaction's packets beside its payload, with 64-bit
// addresses: 2 of framing, 6 of the data link layer, 4 of the common header, and
// 12 for a write or a read request, 8 for a completion.
//
// Source: Neugebauer et al., "Understanding PCIe performance for end host
// networking", SIGCOMM 2018, section 3.
const (
	writeHeader      = 24
	readHeader       = 24
	completionHeader = 20
)

// dllPercent is what flow control and acknowledgements of the data link layer
// take of the link.
//
// Source: the same section: 57.88 of 62.96 Gbit/s are left for gen 3 x8.
const dllPercent = 8

// Latencies in ns. Source: the same paper, figure 2: a loopback of a small
// packet through an ExaNIC takes about 1000 ns, of which PCIe's share, once each
// way, is about 900. A read is a round trip; a posted write is half of one. The
// paper also shows what a model of one number leaves out: the spread between
// hosts, NUMA, the IOMMU.
const (
	readNanos  = 900
	writeNanos = readNanos / 2
)

// laneMbps is the rate of a lane by generation in Mbit/s, after the line code
// (8b/10b up to gen 2, 128b/130b from gen 3). Source: PCI Express Base
// Specification 5.0, section 4.2.
var laneMbps = [...]float64{1: 2500 * 0.8, 5000 * 0.8, 8000 * 128.0 / 130, 16000 * 128.0 / 130, 32000 * 128.0 / 130}

// Link is one direction of a PCIe link.
type Link struct {
	bps int64
}

// NewLink returns a link of a generation (1 to 5) and so many lanes.
func NewLink(gen, lanes int) Link {
	return Link{int64(laneMbps[gen] * 1e6 * float64(lanes) * (100 - dllPercent) / 100)}
}

// Time is how long n bytes take, headers included.
func (l Link) Time(n int) sim.Picos {
	return sim.Picos((int64(n)*8e12 + l.bps - 1) / l.bps)
}

// window is the times at which the last transactions give their places back.
type window struct {
	until []sim.Picos
	next  int
}

func newWindow(places int) window { return window{until: make([]sim.Picos, places)} }

// free is when a place is free.
func (w *window) free() sim.Picos { return w.until[w.next] }

// take takes that place until t.
func (w *window) take(t sim.Picos) {
	w.until[w.next] = t
	if w.next++; w.next == len(w.until) {
		w.next = 0
	}
}
