package axis

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/meshnic/meshnic/datapath/module"
)

// ramWord is the width of a RAM switch's memory in bytes: the wider port's,
// times SPEEDUP; without SPEEDUP enough for all ports of the busier side.
func ramWord(a module.Args) int {
	s, m := a.Int("S_DATA_WIDTH")/8, a.Int("M_DATA_WIDTH")/8
	unit := max(s, m)
	speedup := a.Int("SPEEDUP")
	if speedup == 0 {
		speedup = max(s*a.Int("S_COUNT"), m*a.Int("M_COUNT")) / unit
	}
	return unit * speedup
}

var ramSwitch = module.Module{
	Name:   "axis_ram_switch",
	Source: source + "axis_ram_switch.v",
	Doc:    "switch with a shared memory: stores each frame, then forwards it",
	Stores: true,
	Params: slices.Concat([]module.Param{
		module.Count("FIFO_DEPTH", 4096, 64, 1<<22, "bytes of memory for each input, rounded up to a power of two of words"),
		module.Count("CMD_FIFO_DEPTH", 32, 2, 1024, "frames an input may have in the memory, rounded up to a power of two"),
		module.Count("SPEEDUP", 0, 0, 64, "width of the memory in port widths; 0: as many as the ports"),
		module.Count("S_COUNT", 4, 1, maxPorts, "inputs"),
		module.Count("M_COUNT", 4, 1, maxPorts, "outputs"),
	}, twoWidths(), []module.Param{
		module.Count("M_DEST_WIDTH", 1, 0, 8, "bits of the outputs' tdest"),
		sDestWidth,
		module.Flag("DROP_BAD_FRAME", 0, "drop frames marked bad"),
		module.Flag("DROP_WHEN_FULL", 0, "always ready: drop frames that do not fit"),
		module.Count("RAM_PIPELINE", 2, 1, 16, "registers behind the memory"),
	}, arbParams(1)),
	Beside: slices.Concat(twoKeeps, newIDs, users, marks),
	Check: func(a module.Args) error {
		if w := ramWord(a); a.Int("FIFO_DEPTH") < 2*w {
			return &module.ParamError{Param: "FIFO_DEPTH", Why: fmt.Sprintf("FIFO_DEPTH is %d bytes, want two words of the memory, which are %d bytes each", a.Int("FIFO_DEPTH"), w)}
		}
		if w, n := ramWord(a), max(a.Int("S_DATA_WIDTH"), a.Int("M_DATA_WIDTH"))/8; w < n {
			return &module.ParamError{Param: "SPEEDUP", Why: fmt.Sprintf("the memory is %d bytes wide, its ports %d", w, n)}
		}
		_, err := routeOf("axis_ram_switch", a)
		return err
	},
	Ports: func(a module.Args) (in, out []module.Port) {
		return ports(a.Int("S_COUNT"), a.Int("S_DATA_WIDTH")), ports(a.Int("M_COUNT"), a.Int("M_DATA_WIDTH"))
	},
	Build: func(s *module.Site) {
		a, word := s.Args, ramWord(s.Args)
		r, _ := routeOf("axis_ram_switch", a)
		in, out := slices.Clone(s.In), slices.Clone(s.Out)
		for i, w := range s.In {
			if w.Width != word {
				part := "in" + strconv.Itoa(i)
				in[i] = s.Wire(part, w.Clock, word)
				s.Add(part, newAdapter(w, in[i]))
			}
		}
		for o, w := range s.Out {
			if w.Width != word {
				part := "out" + strconv.Itoa(o)
				out[o] = s.Wire(part, w.Clock, word)
				s.Add(part, newAdapter(out[o], w))
			}
		}
		s.Add("", NewRAMSwitch(RAMSwitchConfig{
			Route: r, Arbitration: arbitration(a),
			Words: 1 << clog2(a.Int("FIFO_DEPTH")/word), Commands: 1 << clog2(a.Int("CMD_FIFO_DEPTH")), Pipeline: a.Int("RAM_PIPELINE"),
			DropWhenFull: a.Bool("DROP_WHEN_FULL"), DropBad: a.Bool("DROP_BAD_FRAME"),
		}, in, out))
	},
}
