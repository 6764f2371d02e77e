package axis

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// FIFO is a FIFO in one clock, cut-through or by frames.
//
// Source: verilog-axis rtl/axis_fifo.v. First latency 2+RAM_PIPELINE, with an
// output FIFO 4+RAM_PIPELINE; in frame mode counted from the last input beat.
// With the sink frozen it takes the RAM's words and RAM_PIPELINE+1 beats; with
// an output FIFO the RAM's words, half of that FIFO, its output register and
// RAM_PIPELINE+2 beats that are on the way when it says so.
type FIFO struct {
	writer
	reader
	in, out *sim.Wire
	depth   uint32 // depth_reg
}

// NewFIFO returns a FIFO between two wires of one clock and width.
func NewFIFO(c FIFOConfig, in, out *sim.Wire) *FIFO {
	return &FIFO{writer: newWriter(c, in.Width), reader: newReader(c), in: in, out: out}
}

func (f *FIFO) Ports() (in, out []*sim.Wire) { return []*sim.Wire{f.in}, []*sim.Wire{f.out} }
func (f *FIFO) full() bool                   { return f.wr-f.rd == f.words }
func (f *FIFO) Offer()                       { f.offer(f.out) }
func (f *FIFO) Accept()                      { f.in.Take(f.ready(f.full())) }

// Level is status_depth: the words in the RAM an edge ago.
func (f *FIFO) Level() int { return int(f.depth) * f.in.Width }

func (f *FIFO) Edge(sim.Edges) bool {
	depth, full, empty := f.wr-f.rd, f.full(), f.commit == f.rd
	read := f.reader.edge(f.out, &f.writer, empty)
	wrote, _ := f.writer.edge(f.in, full)
	was := f.depth
	f.depth = depth
	return read || wrote || depth != was
}

// fifoParams are the parameters that all FIFOs of the package have, with the
// RTL's defaults. keep are those that say how wide a word is.
func fifoParams(keep ...module.Param) []module.Param {
	return append(keep,
		module.Count("DEPTH", 4096, 2, 1<<24, "RAM in bytes, rounded up to a power of two of bus words"),
		module.Count("RAM_PIPELINE", 1, 0, maxPipeline, "registers behind the RAM"),
		module.Flag("OUTPUT_FIFO_ENABLE", 0, "a small FIFO behind the registers"),
		module.Flag("FRAME_FIFO", 0, "store a frame whole before passing it on"),
		module.Param{Name: "DROP_OVERSIZE_FRAME", Allowed: []float64{0, 1}, From: func(a module.Args) float64 { return a.Float("FRAME_FIFO") },
			Doc: "drop frames larger than the RAM; default FRAME_FIFO"},
		module.Flag("DROP_BAD_FRAME", 0, "drop frames marked bad"),
		module.Flag("DROP_WHEN_FULL", 0, "drop frames that find no room"),
		module.Flag("MARK_WHEN_FULL", 0, "cut frames that find no room and mark them bad"),
		module.Param{Name: "PAUSE_ENABLE", Allowed: []float64{0}, Doc: "pause input: not modelled"},
	)
}

// keepEnable is a parameter KEEP_ENABLE whose default follows the bus width.
func keepEnable(name, width string) module.Param {
	return module.Param{Name: name, Allowed: []float64{0, 1}, From: func(a module.Args) float64 {
		if a.Int(width) > 8 {
			return 1
		}
		return 0
	}, Doc: "carry tkeep; without it DEPTH counts bus words; default " + width + " > 8"}
}

// fifoConfig reads the parameters on a bus of width bytes.
func fifoConfig(a module.Args, width int, keep bool) FIFOConfig {
	c := FIFOConfig{
		Depth:        a.Int("DEPTH"),
		Pipeline:     a.Int("RAM_PIPELINE"),
		OutputFIFO:   a.Bool("OUTPUT_FIFO_ENABLE"),
		Frame:        a.Bool("FRAME_FIFO"),
		DropOversize: a.Bool("DROP_OVERSIZE_FRAME"),
		DropBad:      a.Bool("DROP_BAD_FRAME"),
		DropWhenFull: a.Bool("DROP_WHEN_FULL"),
		MarkWhenFull: a.Bool("MARK_WHEN_FULL"),
	}
	if !keep {
		c.Depth *= width
	}
	return c
}

func fifoArgs(a module.Args) (c FIFOConfig, width int) {
	width = a.Int("DATA_WIDTH") / 8
	return fifoConfig(a, width, a.Bool("KEEP_ENABLE")), width
}

func checkFIFO(a module.Args) error {
	c, width := fifoArgs(a)
	return c.Check(width)
}

var fifo = module.Module{
	Name:   "axis_fifo",
	Source: source + "axis_fifo.v",
	Doc:    "FIFO, cut-through or by frames",
	Params: fifoParams(module.Width("DATA_WIDTH"), keepEnable("KEEP_ENABLE", "DATA_WIDTH")),
	Beside: slices.Concat(module.Beside("KEEP_WIDTH", "FRAME_PAUSE"), lasts, sides, marks),
	Stores: true,
	Ports:  same,
	Check:  checkFIFO,
	Build: func(s *module.Site) {
		c, _ := fifoArgs(s.Args)
		s.Add("", NewFIFO(c, s.In[0], s.Out[0]))
	},
}
