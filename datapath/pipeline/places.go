package pipeline

import (
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/module"
)

// place is a stage to be built: once, or once for each input.
type place struct {
	*Stage
	name  string
	input int // that alone leads here, or -1
	from  []string
	m     *module.Module
	args  module.Args
	in    []module.Port
	out   []module.Port
}

func canonical(f string) string {
	if stage, n, ok := split(f); ok {
		return stage + "." + strconv.Itoa(n)
	}
	return f + ".0"
}

// split takes "stage.N" apart.
func split(f string) (stage string, n int, ok bool) {
	i := strings.LastIndexByte(f, '.')
	if i < 0 {
		return f, 0, true
	}
	n, err := strconv.Atoi(f[i+1:])
	return f[:i], n, err == nil && n >= 0
}

// places resolves modules and where stages take their inputs from, and copies
// the stages before the first join for each input.
func (b *builder) places(d *Description) []*place {
	var all []*place
	chain := !slices.ContainsFunc(d.Stages, func(s Stage) bool { return len(s.From) > 0 })
	joined := false
	var last []string
	for i := range b.setup.Inputs {
		last = append(last, "in"+strconv.Itoa(i))
	}
	if !chain {
		last = last[:1]
	}
	for i := range d.Stages {
		s := &d.Stages[i]
		m, ok := d.Find(s.Module)
		if !ok {
			b.problems = append(b.problems, s.problem("unknown module %q%s", s.Module, d.near(s.Module)))
			continue
		}
		trial, err := m.Fill(clocked(m, s.Params, 1, 1))
		if err != nil {
			b.problems = append(b.problems, s.problem("%v", err))
			continue
		}
		in, _ := m.Ports(trial)
		if i < len(d.Stages)-1 && chain {
			s.Params = passing(m, s.Params)
		}
		switch {
		case !chain:
			from := s.From
			if len(from) == 0 {
				from = last
			}
			all = append(all, &place{Stage: s, name: s.Name, input: -1, from: from, m: m})
			last = []string{s.Name}
		case len(in) > 1:
			if len(last) > len(in) {
				b.problems = append(b.problems, s.problem("has %d inputs for %d", len(in), len(last)))
				return nil
			}
			all = append(all, &place{Stage: s, name: s.Name, input: -1, from: last, m: m})
			last, joined = []string{s.Name}, true
		case joined || b.setup.Inputs == 1:
			all = append(all, &place{Stage: s, name: s.Name, input: -1, from: last, m: m})
			last = []string{s.Name}
		default:
			var next []string
			for k, f := range last {
				name := s.Name + "@" + strconv.Itoa(k)
				all = append(all, &place{Stage: s, name: name, input: k, from: []string{f}, m: m})
				next = append(next, name)
			}
			last = next
		}
	}
	for _, p := range all {
		p.args, _ = p.m.Fill(clocked(p.m, p.Params, 1, 1))
		p.in, p.out = p.m.Ports(p.args)
	}
	if !chain {
		led(all)
	}
	return all
}

// led finds the stages that one input alone leads to.
func led(all []*place) {
	by := map[string]*place{}
	for _, p := range all {
		by[p.name] = p
	}
	for _, p := range all {
		at := p
		for range all { // a loop has no input
			if len(at.in) != 1 || len(at.from) != 1 {
				break
			}
			stage, _, _ := split(at.from[0])
			if inputLike.MatchString(stage) {
				p.input, _ = strconv.Atoi(stage[2:])
				break
			}
			if at = by[stage]; at == nil {
				break
			}
		}
	}
}

// passing makes a tap that stands inside a chain pass its stream on; alone or
// last it gives its results.
func passing(m *module.Module, given module.Args) module.Args {
	const name = "PASS_THROUGH"
	if _, ok := given[name]; ok || !slices.ContainsFunc(m.Params, func(p module.Param) bool { return p.Name == name }) {
		return given
	}
	a := module.Args{name: 1}
	for k, v := range given {
		a[k] = v
	}
	return a
}
