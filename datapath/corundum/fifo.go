package corundum

// fifo is the axis_fifo inside these modules: cut-through, a RAM and, with
// RAM_PIPELINE 1, two output registers behind it. What is written at edge n
// stands at the output from n+3 on.
//
// Source: fpga/lib/axis/rtl/axis_fifo.v of the same commit (verilog-axis', but
// for its pause logic, which is not used), FRAME_FIFO 0, OUTPUT_FIFO_ENABLE 0.
type fifo[T any] struct {
	mem    []T // a power of two
	wr, rd uint32
	pipe   [2]T
	valid  [2]bool
	depth  uint32 // depth_reg: what the pointers were apart before the last edge
}

// newFIFO returns a FIFO of n words or the next power of two.
func newFIFO[T any](n int) fifo[T] { return fifo[T]{mem: make([]T, 1<<log2(n))} }

func (f *fifo[T]) ready() bool { return f.wr-f.rd != uint32(len(f.mem)) }
func (f *fifo[T]) full() bool  { return !f.ready() }
func (f *fifo[T]) some() bool  { return f.valid[1] }
func (f *fifo[T]) head() T     { return f.pipe[1] }

// edge clocks the FIFO: put says that v is offered at the input, take that the
// output is ready. What is offered to a full FIFO is lost. It reports whether
// anything changed.
func (f *fifo[T]) edge(put bool, v T, take bool) bool {
	mask, wr, rd := uint32(len(f.mem)-1), f.wr, f.rd
	put = put && !f.full()
	apart := wr - rd
	changed := f.depth != apart
	f.depth = apart
	if put {
		f.mem[wr&mask] = v
		f.wr++
		changed = true
	}
	if take || !f.valid[1] {
		changed = changed || f.valid != [2]bool{}
		f.pipe[1], f.valid[1] = f.pipe[0], f.valid[0]
		f.valid[0] = false
	}
	if wr != rd && !f.valid[0] {
		f.pipe[0], f.valid[0] = f.mem[rd&mask], true
		f.rd++
		changed = true
	}
	return changed
}
