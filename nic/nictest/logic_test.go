package nictest_test

import (
	"strconv"
	"time"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/nictest"
)

// logicCard is the NIC's own program as a card. It has no timers.
type logicCard struct {
	*nic.Logic
	clock sim.Clock
}

func newLogicCard(ports int) (nictest.Card, error) {
	cfg := nic.DefaultConfig()
	cfg.Flows, cfg.MACs = 1024, 64
	var names []string
	for i := range ports {
		names = append(names, strconv.Itoa(i))
	}
	l, err := nic.NewLogic(cfg, names, 9014)
	return &logicCard{l, sim.Clock{Hz: nic.CoreHz}}, err
}

func (c *logicCard) Frame(now time.Duration, port int, frame []byte, out func(int, []byte)) {
	o := c.Process(sim.Cycle(now/4), datapath.Port(port), frame, hostif.Offload{})
	for p := range datapath.MaxPorts {
		if o.To.Has(datapath.Port(p)) {
			out(p, o.Data)
		}
	}
}

func (c *logicCard) Due(time.Duration, func(int, []byte)) (time.Duration, bool) { return 0, false }
