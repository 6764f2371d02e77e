package ethernet

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/sim"
)

// ChecksumGenConfig is fixed when the stage is built.
type ChecksumGenConfig struct {
	PayloadBytes int // PAYLOAD_FIFO_DEPTH
	Headers      int // HEADER_FIFO_DEPTH
}

// ChecksumGen sums UDP datagrams. The payload streams through a FIFO; the header
// follows when the sum is known, three cycles after the last payload beat was
// taken. One datagram is summed at a time, and the next header is taken when it
// is done. A header that finds the header FIFO full is lost, and its payload
// still comes: the RTL looks for room one cycle too early.
//
// Source: verilog-ethernet rtl/udp_checksum_gen_64.v. Payload 5 cycles from the
// header, b + 5 cycles a frame; the payload FIFO and 2 beats are absorbed.
type ChecksumGen struct {
	in, out *sim.Wire
	sim.Losses
	payload beatFIFO
	headers []sim.Header
	checksumGenState
}

type checksumGenState struct {
	state    int8
	hdrReady bool // s_udp_hdr_ready_reg
	done     bool // hdr_valid_reg
	wr, rd   uint32
	got      sim.Header
	hdr      header
}

const (
	sumHeader = int8(iota + 1)
	sumPayload
	finishSum1
	finishSum2
)

// NewChecksumGen returns the stage between two wires of one clock, 64 bit wide.
func NewChecksumGen(in, out *sim.Wire, c ChecksumGenConfig) *ChecksumGen {
	return &ChecksumGen{in: in, out: out, payload: newBeatFIFO(c.PayloadBytes / wide),
		headers: make([]sim.Header, powerOf2(c.Headers)), checksumGenState: checksumGenState{hdrReady: true}}
}

// powerOf2 rounds up.
func powerOf2(n int) int { return 1 << bits.Len(uint(max(n, 1)-1)) }

func (r *ChecksumGen) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }

func (r *ChecksumGen) Accept() {
	r.in.Ready, r.in.HdrReady = r.state == sumPayload && !r.payload.full(), r.hdrReady
}

func (r *ChecksumGen) Offer() {
	r.out.Put(r.payload.valid[1], r.payload.pipe[1])
	r.out.PutHdr(r.hdr.valid, r.hdr.Header)
}

// Level is the payload FIFO's status_depth.
func (r *ChecksumGen) Level() int { return r.payload.depth * wide }

func (r *ChecksumGen) Edge(sim.Edges) bool {
	fire := r.in.Fire()
	n := r.checksumGenState
	room := r.wr-r.rd < uint32(len(r.headers))
	n.hdrReady, n.done = false, false
	switch r.state {
	case idle:
		n.hdrReady = room
		if r.in.HdrFire() {
			n.got, n.hdrReady, n.state = r.in.Hdr, false, sumHeader
		}
	case sumPayload:
		if fire && r.in.Beat.Last {
			n.state = finishSum1
		}
	case finishSum2:
		n.done, n.state = true, idle
	default:
		n.state++
	}
	if r.done {
		if room {
			r.headers[r.wr%uint32(len(r.headers))] = r.got
			n.wr++
		} else {
			r.Drop(r.got.Frame, sim.LossFull)
		}
	}
	if r.out.HdrReady || !r.hdr.valid {
		n.hdr.valid = r.wr != r.rd
		if n.hdr.valid {
			n.hdr.Header = r.headers[r.rd%uint32(len(r.headers))]
			n.rd++
		}
	}
	moved := r.payload.clock(fire, r.in.Beat, r.out.Ready)
	if !moved && n == r.checksumGenState {
		return false
	}
	r.checksumGenState = n
	return true
}

// beatFIFO is a cut-through FIFO with its read pipeline.
//
// Source: verilog-axis rtl/axis_fifo.v, RAM_PIPELINE 1, no output FIFO.
type beatFIFO struct {
	mem    []sim.Beat
	wr, rd uint32
	depth  int // depth_reg, in beats: one cycle behind the pointers
	valid  [2]bool
	pipe   [2]sim.Beat
}

func newBeatFIFO(beats int) beatFIFO { return beatFIFO{mem: make([]sim.Beat, powerOf2(beats))} }

func (f *beatFIFO) full() bool { return f.wr-f.rd == uint32(len(f.mem)) }

// clock loads the FIFO's registers; it reports whether anything changed.
func (f *beatFIFO) clock(put bool, b sim.Beat, sink bool) bool {
	held, mask := f.wr-f.rd, uint32(len(f.mem)-1)
	changed := put || f.valid[1] && sink || f.depth != int(held)
	f.depth = int(held)
	down, read := sink || !f.valid[1], sink || !f.valid[0] || !f.valid[1]
	if down {
		changed = changed || f.valid[0]
		f.valid[1], f.pipe[1] = f.valid[0], f.pipe[0]
	}
	if read {
		if f.valid[0] = held != 0; f.valid[0] {
			f.pipe[0] = f.mem[f.rd&mask]
			f.rd++
			changed = true
		}
	}
	if put {
		f.mem[f.wr&mask] = b
		f.wr++
	}
	return changed
}
