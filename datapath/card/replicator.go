package card

import (
	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Dest is the output that a replicator gives a frame to whose destinations
// nobody else tells: tdest, the last output for all beyond.
func Dest(outputs int) func(b sim.Beat) uint32 {
	return func(b sim.Beat) uint32 { return 1 << min(int(b.Dest), outputs-1) }
}

var replicator = module.Module{
	Name:   "replicator",
	Source: "verilog-axis@48ff7a7e2ef7 axis_broadcast.v (1 cycle) with a mask of outputs: by construction",
	Doc:    "copies a frame to those outputs it is for; tdest is the output where no function decides",
	Params: []module.Param{
		module.Count("M_COUNT", 2, 1, 16, "outputs"),
		module.Width("DATA_WIDTH"),
	},
	Ports: func(a module.Args) (in, out []module.Port) {
		p := module.Port{Width: a.Int("DATA_WIDTH") / 8}
		for range a.Int("M_COUNT") {
			out = append(out, p)
		}
		return []module.Port{p}, out
	},
	Build: func(s *module.Site) {
		b := axis.NewBroadcast(s.In[0], s.Out)
		b.Targets = Dest(len(s.Out))
		s.Add("", b)
	},
}
