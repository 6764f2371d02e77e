package card

import "github.com/meshnic/meshnic/datapath/sim"

// Bytes of a PCIe transaction's packets beside its payload, with 64-bit
// addresses: 2 of framing, 6 of the data link layer, 4 of the common header, and
// 12 for a write or a read request, 8 for a completion.
//
// Source: Neugebauer et al., "Understanding PCIe performance for end host
// networking", SIGCOMM 2018, in its code: pcie-bench/pcie-model@40703cfeb6c7
// model/pcie.py (DLLP_Hdr 8, TLP_Hdr 4, TLP_MWr_64_Hdr and TLP_MRd_64_Hdr 12,
// TLP_CplD_Hdr 8).
const (
	writeHeader      = 24
	readHeader       = 24
	completionHeader = 20
)

// dllPercent is what flow control and acknowledgements of the data link layer
// take of the link.
//
// Source: the same code (TLP_bw): of 63.015 Gbit/s of a gen 3 x8 link 57.885 are
// left with payloads of 256 bytes; 56.7 with 128, 61.3 with 4096.
const dllPercent = 8

// Latencies in ns. Source: the same authors' measurements,
// pcie-bench/data@b2abf2f78ac2 nfp6000-1.2GHz_hsw-Xeon-E5-2620v3_dell-t630
// lat_dma_sizes.txt: a read of 64 bytes by the card's DMA engine, host cache warm,
// has a median of 546 ns. Over their hosts it is 546 to 666 with a Xeon E5 (far
// socket and IOMMU included), 1213 with a Xeon E3; without the card's engine 413 to
// 546 (lat_cmd_sizes.txt). A posted write cannot be timed alone there: half of a
// read, by construction; a write with a read behind it takes 773.
const (
	readNanos  = 546
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
