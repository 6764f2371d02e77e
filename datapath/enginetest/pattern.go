package enginetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Patterns are the ready patterns of a Sink: those of package sim, and "runs",
// which is ready and not ready for 1 to 16 cycles in turn, by a seed.
var Patterns = append(slices.Clone(sim.Patterns), "runs")

// byName holds the patterns of package sim, which have no state.
var byName = func() map[string]sim.Pattern {
	m := map[string]sim.Pattern{}
	for _, name := range sim.Patterns {
		p, err := sim.NewPattern(name)
		if err != nil {
			panic(err) // it knows its own names
		}
		m[name] = p
	}
	return m
}()

func (s *Sink) pattern() (sim.Pattern, error) {
	p := byName[s.Pattern]
	if s.Pattern == "runs" {
		p = newRuns(s.Seed)
	}
	if p == nil {
		return nil, fmt.Errorf("unknown pattern %q, want %s", s.Pattern, strings.Join(Patterns, ", "))
	}
	if s.Thaw > 0 {
		p = thaw{p, s.Thaw}
	}
	return p, nil
}

// runs says for each cycle of a period whether the sink is ready.
type runs []bool

func newRuns(seed uint64) runs {
	d := dice{&mix{seed}}
	var p runs
	for len(p) < 200 {
		for i, ready := range []bool{false, true} {
			for range 1 + d.upTo(16)>>(i*d.n(3)) {
				p = append(p, ready)
			}
		}
	}
	return p
}

func (p runs) Ready(c sim.Cycle) (sim.Cycle, bool) {
	for !p[c%sim.Cycle(len(p))] {
		c++
	}
	return c, true
}

// thaw is a pattern that is not ready before a cycle.
type thaw struct {
	sim.Pattern
	at sim.Cycle
}

func (t thaw) Ready(c sim.Cycle) (sim.Cycle, bool) { return t.Pattern.Ready(max(c, t.at)) }
