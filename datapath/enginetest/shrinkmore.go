package enginetest

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/sim"
)

// ends makes sinks simpler, and takes sources without frames out.
func (s *shrinker) ends() {
	for i := len(s.c.Sinks) - 1; i >= 0; i-- {
		if s.try(func(c *Case) { c.Sinks = slices.Delete(c.Sinks, i, i+1) }) {
			continue
		}
		k := s.c.Sinks[i]
		if k.From > 0 {
			s.try(func(c *Case) { c.Sinks[i].From = 0 })
		}
		if k.Thaw > 0 && !s.try(func(c *Case) { c.Sinks[i].Thaw = 0 }) {
			s.try(func(c *Case) { c.Sinks[i].Thaw /= 2 })
			s.try(func(c *Case) { c.Sinks[i].Thaw-- })
		}
		for _, p := range Patterns {
			if p == s.c.Sinks[i].Pattern || s.try(func(c *Case) { c.Sinks[i].Pattern, c.Sinks[i].Seed = p, 0 }) {
				break
			}
		}
	}
	for i := len(s.c.Sources) - 1; i >= 0; i-- {
		if len(s.c.Sources[i].Frames) == 0 {
			s.try(func(c *Case) { c.Sources = slices.Delete(c.Sources, i, i+1) })
		}
	}
}

// modes makes the runs simpler.
func (s *shrinker) modes() {
	if s.c.Order > 0 {
		s.try(func(c *Case) { c.Order = 0 })
	}
	if s.c.Acts > 0 {
		s.try(func(c *Case) { c.Acts = 0 })
	}
	if len(s.c.Clocked) > 0 {
		s.try(func(c *Case) { c.Clocked = nil })
	}
	if len(s.c.Steps) > 0 {
		s.try(func(c *Case) { c.Steps = nil })
	}
	for i := len(s.c.Clocked) - 1; i >= 0; i-- {
		s.try(func(c *Case) { c.Clocked = slices.Delete(c.Clocked, i, i+1) })
	}
	for i := len(s.c.Steps) - 1; i >= 0; i-- {
		s.try(func(c *Case) { c.Steps = slices.Delete(c.Steps, i, i+1) })
	}
}

// params leaves parameters to their defaults.
func (s *shrinker) params() {
	for i := range s.c.Pipeline.Stages {
		for _, name := range slices.Sorted(maps.Keys(s.c.Pipeline.Stages[i].Params)) {
			s.try(func(c *Case) { delete(c.Pipeline.Stages[i].Params, name) })
		}
	}
}

// clocks makes clocks and widths the same.
func (s *shrinker) clocks() {
	if s.c.Skew > 0 {
		_ = s.try(func(c *Case) { c.Skew = 0 }) || s.try(func(c *Case) { c.Skew /= 2 })
	}
	if s.c.Pipeline.ClockMHz != 250 {
		s.try(func(c *Case) { c.everywhere(isClock, c.Pipeline.ClockMHz, 250); c.Pipeline.ClockMHz = 250 })
	}
	for i := range s.c.Pipeline.Stages {
		if s.c.Pipeline.Stages[i].ClockMHz > 0 {
			s.try(func(c *Case) { c.Pipeline.Stages[i].ClockMHz = 0 })
		}
	}
	for _, to := range []float64{250, 125} {
		for _, v := range s.c.values(isClock) {
			if v > to {
				s.try(func(c *Case) { c.everywhere(isClock, v, to) })
			}
		}
	}
	for _, v := range s.c.values(isWidth) {
		if v != 64 {
			s.try(func(c *Case) { c.everywhere(isWidth, v, 64) })
		}
	}
}

func isClock(name string) bool { return strings.HasSuffix(name, "_MHZ") }
func isWidth(name string) bool { return strings.HasSuffix(name, "DATA_WIDTH") }

// values are the values that parameters of a kind have.
func (c *Case) values(of func(name string) bool) (v []float64) {
	for i := range c.Pipeline.Stages {
		for name, x := range c.Pipeline.Stages[i].Params {
			if of(name) {
				v = append(v, x)
			}
		}
	}
	slices.Sort(v)
	return slices.Compact(v)
}

func (c *Case) everywhere(of func(name string) bool, from, to float64) {
	for i := range c.Pipeline.Stages {
		st := &c.Pipeline.Stages[i]
		if of("_MHZ") && st.ClockMHz == from {
			st.ClockMHz = to
		}
		for name, v := range st.Params {
			if of(name) && v == from {
				st.Params[name] = to
			}
		}
	}
}

// numbers makes parameters smaller, and names and numbers those one would give.
func (s *shrinker) numbers() {
	for i := range s.c.Pipeline.Stages {
		for _, name := range slices.Sorted(maps.Keys(s.c.Pipeline.Stages[i].Params)) {
			v := s.c.Pipeline.Stages[i].Params[name]
			if v < 4 || isClock(name) || isWidth(name) {
				continue
			}
			for _, to := range []float64{1, 2, math.Trunc(v / 2), v - 1} {
				if s.try(func(c *Case) { c.Pipeline.Stages[i].Params[name] = to }) {
					break
				}
			}
		}
	}
	for i := range s.c.Sources {
		for k, f := range s.c.Sources[i].Frames {
			for _, to := range []sim.Frame{{At: f.At / 2, Gap: f.Gap}, {At: f.At, Gap: f.Gap / 2}} {
				if to.At != f.At || to.Gap != f.Gap {
					s.try(func(c *Case) { x := &c.Sources[i].Frames[k]; x.At, x.Gap = to.At, to.Gap })
				}
			}
		}
	}
	before, done := s.c, s.done
	if s.try((*Case).rename); s.done > done && before.GoTest("") == s.c.GoTest("") {
		s.done = done // it had these names
	}
}

// rename numbers frames, stages and inputs from the first on.
func (c *Case) rename() {
	id := uint32(0)
	to := map[string]string{}
	for i := range c.Sources {
		for k := range c.Sources[i].Frames {
			id++
			c.Sources[i].Frames[k].ID = id
		}
	}
	inputs := 0
	for i := range c.Pipeline.Stages {
		st := &c.Pipeline.Stages[i]
		to[st.Name] = "s" + strconv.Itoa(i)
		st.Name = to[st.Name]
		for k, f := range st.From {
			name, port, ported := strings.Cut(f, ".")
			if strings.HasPrefix(name, "in") {
				to[name] = "in" + strconv.Itoa(inputs)
				inputs++
			}
			if st.From[k] = to[name]; ported {
				st.From[k] += "." + port
			}
		}
	}
	wire := func(w string) string {
		name, port, ported := strings.Cut(w, ".")
		if name = to[name]; ported {
			name += "." + port
		}
		return name
	}
	for i := range c.Sources {
		c.Sources[i].Name = to[c.Sources[i].Name]
	}
	for i := range c.Sinks {
		c.Sinks[i].Wire = wire(c.Sinks[i].Wire)
	}
	for i, name := range c.Clocked {
		if rest, ok := strings.CutPrefix(name, "sink."); ok {
			c.Clocked[i] = "sink." + wire(rest)
		} else {
			c.Clocked[i] = wire(name)
		}
	}
}
