package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/module"
)

// MaxPorts is how many ports Ports can give a card: as many as axis_arb_mux has
// inputs.
const MaxPorts = 16

// Ports makes a card of n ports of a chain that is one port's way through it. The
// core, from the first stage that looks at packets to the last, is there once;
// what is in front of it is built for each port, and so is what is behind it.
// Round-robin arbitration leads the ports' frames into the core, a replicator out
// of it, so the core's bandwidth is what all ports share. Stages of port k are
// named stage@k. One port leaves the chain as it is. A card that writes frames of its own
// has an input more, the last: for those that no frame is the reason for.
func (d *Description) Ports(n int) (*Description, error) {
	if n < 1 || n > MaxPorts {
		return nil, fmt.Errorf("a card of %d ports, want 1 to %d", n, MaxPorts)
	}
	if n == 1 {
		return d, nil
	}
	if slices.ContainsFunc(d.Stages, func(s Stage) bool { return len(s.From) > 0 }) {
		return nil, fmt.Errorf("pipeline %s is not a chain: only of a chain can a card of %d ports be made", d.Name, n)
	}
	chain := &Description{Name: d.Name, Doc: d.Doc, ClockMHz: d.ClockMHz, Stages: slices.Clone(d.Stages), Own: d.Own}
	if problems := chain.normalise(); len(problems) > 0 {
		return nil, problems
	}
	in, out := chain.core()
	inputs := n
	if d.Writes() {
		inputs++
	}
	if inputs > MaxPorts {
		return nil, fmt.Errorf("a card of %d ports that writes frames of its own, want 1 to %d", n, MaxPorts-1)
	}
	if in >= out {
		return nil, fmt.Errorf("pipeline %s has no stage that looks at packets (%s): no card of %d ports can be made of it", d.Name, strings.Join(acting, ", "), n)
	}
	width, err := chain.widthBefore(in)
	if err != nil {
		return nil, err
	}
	after, err := chain.widthBefore(out)
	if err != nil {
		return nil, err
	}
	card := &Description{Name: d.Name, Doc: d.Doc, ClockMHz: d.ClockMHz, Own: d.Own}
	var ends []string
	for k := range n {
		ends = append(ends, card.copies(chain.Stages[:in], k, "in"+strconv.Itoa(k)))
	}
	if inputs > n {
		ends = append(ends, "in"+strconv.Itoa(n))
	}
	card.Stages = append(card.Stages, Stage{
		Module: "axis_arb_mux", Name: "ingress", From: ends,
		Params: module.Args{"S_COUNT": float64(inputs), "DATA_WIDTH": float64(8 * width), "ARB_TYPE_ROUND_ROBIN": 1},
	})
	card.Stages = append(card.Stages, chain.Stages[in:out]...)
	card.Stages = append(card.Stages, Stage{
		Module: "replicator", Name: "egress",
		Params: module.Args{"M_COUNT": float64(n), "DATA_WIDTH": float64(8 * after)},
	})
	for k := range n {
		card.copies(chain.Stages[out:], k, "egress."+strconv.Itoa(k))
	}
	return card, nil
}

// Writes reports whether a card of the description writes frames of its own.
func (d *Description) Writes() bool {
	return slices.ContainsFunc(d.Stages, func(s Stage) bool { return s.Module == "head_rewrite" })
}

// acting are the modules that look at packets: a card has them once.
var acting = []string{"parser", "match_action", "flow_table", "tcp_tracker", "l7_scanner", "flow_state", "route_table", "head_rewrite", "deparser"}

// core is the stages that all ports share: [in, out).
func (d *Description) core() (in, out int) {
	in = len(d.Stages)
	for i, s := range d.Stages {
		if slices.Contains(acting, s.Module) {
			in, out = min(in, i), i+1
		}
	}
	return in, out
}

// copies adds stages as those of port k, and returns what leads on from them.
func (d *Description) copies(stages []Stage, k int, from string) (last string) {
	for _, s := range stages {
		s.Name += "@" + strconv.Itoa(k)
		s.From = []string{from}
		from = s.Name
		d.Stages = append(d.Stages, s)
	}
	return from
}

// widthBefore is the width in bytes of the stream into stage i.
func (d *Description) widthBefore(i int) (int, error) {
	b, err := d.Build(Setup{})
	if err != nil {
		return 0, err
	}
	for _, st := range b.Stages {
		if i < len(d.Stages) && st.Name == d.Stages[i].Name {
			return st.In[0].Width, nil
		}
	}
	return b.Out[0].Wire.Width, nil
}
