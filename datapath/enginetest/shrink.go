package enginetest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Shrink returns a smaller case that fails too: with fewer stages, frames,
// steps, parameters and odd numbers. It tries so many cases at most.
func Shrink(c *Case, tries int) *Case { return new(bench).shrink(c, tries) }

func (b *bench) shrink(c *Case, tries int) *Case {
	kind := kindOf(b.diff(c))
	s := shrinker{c: c, tries: tries, fails: func(c *Case) bool { return kindOf(b.diff(c)) == kind }}
	for again := true; again && s.tries > 0; {
		again = false
		for _, step := range []func(){s.stages, s.cuts, s.frames, s.ends, s.modes, s.params, s.clocks, s.numbers} {
			before := s.done
			step()
			again = again || s.done > before
		}
	}
	return s.c
}

// kindOf tells differences from panics and from cases that cannot be built, so
// that a case does not shrink into another kind of failure.
func kindOf(diff string) string {
	switch {
	case diff == "" || strings.Contains(diff, ": invalid: "):
		return ""
	case strings.Contains(diff, ": panic: "):
		return "panic"
	case strings.HasPrefix(diff, "tick: "):
		return "tick"
	}
	return "difference"
}

type shrinker struct {
	c     *Case
	fails func(*Case) bool
	tries int
	done  int // changes made
}

// try keeps a change if the case still fails.
func (s *shrinker) try(change func(c *Case)) bool {
	if s.tries <= 0 {
		return false
	}
	c := s.c.clone()
	change(c)
	c.tidy()
	s.tries--
	if !s.fails(c) {
		return false
	}
	s.c = c
	s.done++
	return true
}

// clone copies all that a change may write to.
func (c *Case) clone() *Case {
	n := *c
	n.Pipeline.Stages = slices.Clone(c.Pipeline.Stages)
	for i := range n.Pipeline.Stages {
		st := &n.Pipeline.Stages[i]
		st.From = slices.Clone(st.From)
		a := module.Args{}
		for k, v := range st.Params {
			a[k] = v
		}
		st.Params = a
	}
	n.Sources = slices.Clone(c.Sources)
	for i := range n.Sources {
		n.Sources[i].Frames = slices.Clone(n.Sources[i].Frames)
	}
	n.Sinks, n.Clocked, n.Steps = slices.Clone(c.Sinks), slices.Clone(c.Clocked), slices.Clone(c.Steps)
	return &n
}

// tidy removes sources and sinks of ends that are gone.
func (c *Case) tidy() {
	from := map[string]bool{}
	stage := map[string]bool{}
	for _, st := range c.Pipeline.Stages {
		stage[st.Name] = true
		for _, f := range st.From {
			from[f] = true
		}
	}
	base := func(wire string) string { name, _, _ := strings.Cut(wire, "."); return name }
	c.Sources = slices.DeleteFunc(c.Sources, func(s Source) bool { return !from[s.Name] })
	c.Sinks = slices.DeleteFunc(c.Sinks, func(s Sink) bool { return from[s.Wire] || !stage[base(s.Wire)] })
	c.Clocked = slices.DeleteFunc(c.Clocked, func(name string) bool {
		b := base(strings.TrimPrefix(name, "sink."))
		return !stage[b] && !from[b]
	})
}

// stages takes stages out: what followed one takes what it took.
func (s *shrinker) stages() {
	for i := len(s.c.Pipeline.Stages) - 1; i >= 0; i-- {
		s.try(func(c *Case) {
			st := c.Pipeline.Stages[i]
			c.Pipeline.Stages = slices.Delete(c.Pipeline.Stages, i, i+1)
			for k := range c.Pipeline.Stages {
				for j, f := range c.Pipeline.Stages[k].From {
					if name, port, _ := strings.Cut(f, "."); name != st.Name {
						continue
					} else if port == "" || port == "0" {
						c.Pipeline.Stages[k].From[j] = st.From[0]
					} else {
						c.Pipeline.Stages[k].From[j] = c.copySource("")
					}
				}
			}
		})
	}
}

// copySource adds a source that sends what another sends, and returns its name.
func (c *Case) copySource(of string) string {
	n := 0
	for _, st := range c.Pipeline.Stages {
		for _, f := range st.From {
			if k, err := strconv.Atoi(strings.TrimPrefix(f, "in")); err == nil {
				n = max(n, k+1)
			}
		}
	}
	name := "in" + strconv.Itoa(n)
	if i := slices.IndexFunc(c.Sources, func(s Source) bool { return s.Name == of }); i >= 0 {
		src := c.Sources[i]
		src.Name, src.Frames = name, slices.Clone(src.Frames)
		c.Sources = append(c.Sources, src)
	}
	return name
}

// cuts feeds stages from a source instead of from a stage, and drops inputs.
func (s *shrinker) cuts() {
	for i := range s.c.Pipeline.Stages {
		for k := range s.c.Pipeline.Stages[i].From {
			if strings.HasPrefix(s.c.Pipeline.Stages[i].From[k], "in") {
				continue
			}
			for _, src := range s.c.Sources {
				if s.try(func(c *Case) { c.Pipeline.Stages[i].From[k] = c.copySource(src.Name) }) {
					break
				}
			}
		}
	}
}

// frames takes frames out, many at a time and then one by one, and makes those
// that are left plain.
func (s *shrinker) frames() {
	for i := 0; i < len(s.c.Sources); i++ {
		for n := len(s.c.Sources[i].Frames); n > 0; n /= 2 {
			for at := 0; i < len(s.c.Sources) && at < len(s.c.Sources[i].Frames); {
				gone := s.try(func(c *Case) {
					f := &c.Sources[i].Frames
					*f = slices.Delete(*f, at, min(at+n, len(*f)))
				})
				if !gone {
					at += n
				}
			}
		}
	}
	plain := []func(f *sim.Frame){
		func(f *sim.Frame) { f.Bytes = 1 },
		func(f *sim.Frame) { f.Bytes = max(1, f.Bytes/2) },
		func(f *sim.Frame) { f.Bytes = max(1, f.Bytes-8) },
		func(f *sim.Frame) { f.Bytes = max(1, f.Bytes-1) },
		func(f *sim.Frame) { f.At = 0 },
		func(f *sim.Frame) { f.Gap = 0 },
		func(f *sim.Frame) { f.Dest = 0 },
		func(f *sim.Frame) { f.Bad = false },
	}
	for _, to := range plain {
		for i := range s.c.Sources {
			all := s.change(func(c *Case) []*sim.Frame { return pointers(c.Sources[i].Frames) }, to)
			for k := 0; !all && k < len(s.c.Sources[i].Frames); k++ {
				s.change(func(c *Case) []*sim.Frame { return []*sim.Frame{&c.Sources[i].Frames[k]} }, to)
			}
		}
	}
	for i := range s.c.Sources {
		s.try(func(c *Case) { src := &c.Sources[i]; src.Lane, src.Deficit, src.IFG = 0, 0, 0 })
	}
}

func pointers[T any](s []T) (p []*T) {
	for i := range s {
		p = append(p, &s[i])
	}
	return p
}

// change tries to change frames, if that makes a difference.
func (s *shrinker) change(which func(c *Case) []*sim.Frame, to func(f *sim.Frame)) bool {
	differs := false
	for _, f := range which(s.c) {
		g := *f
		to(&g)
		differs = differs || g != *f
	}
	return differs && s.try(func(c *Case) {
		for _, f := range which(c) {
			to(f)
		}
	})
}
