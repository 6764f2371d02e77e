// Package module describes the hardware modules that a pipeline is made of:
// their names, parameters and ports, and how each adds its stages to a network.
// A module that models open RTL has the RTL's own name and parameters.
package module

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Param is one parameter of a module.
type Param struct {
	Name     string
	Default  float64
	From     func(Args) float64 // if set, gives the default from the parameters before this one
	Required bool               // has no default
	Min, Max float64            // inclusive; both 0: any
	Allowed  []float64          // if set, one of these
	Power    bool               // a power of two
	Whole    bool               // an integer
	Doc      string             // what it is, with its unit
}

// Args are a module's parameters by name, defaults filled in.
type Args map[string]float64

// Int returns a parameter as an integer.
func (a Args) Int(name string) int { return int(a.value(name)) }

// Float returns a parameter.
func (a Args) Float(name string) float64 { return a.value(name) }

// Bool reports whether a parameter is not 0.
func (a Args) Bool(name string) bool { return a.value(name) != 0 }

func (a Args) value(name string) float64 {
	v, ok := a[name]
	if !ok {
		panic("module: parameter " + name + " is not declared")
	}
	return v
}

// Port is one side of a module.
type Port struct {
	Width  int     // bus width in bytes
	MHz    float64 // of its clock; 0: the stage's
	Header bool    // has a header side channel
	XGMII  bool    // carries XGMII words instead of AXI-Stream beats
}

// Module is a kind of stage.
type Module struct {
	Name   string
	Source string // repository, commit and file, or paper, from which its cycles are
	Doc    string // one line
	Params []Param
	Stores bool // a FIFO: cuts combinational paths, and a loop of stages needs one
	// Beside are parameters of the RTL that change no cycle, such as the widths of
	// what stands beside the data. A description may give them; Args do not hold them.
	Beside []Param
	Inner  int // bytes of an Ethernet frame that are not on the first input: headers beside it or taken off before (14, 34, 42)

	// Ports returns the module's inputs and outputs.
	Ports func(Args) (in, out []Port)
	// Check, if set, refuses combinations of parameters; Ports and Build are
	// only called with what it accepts.
	Check func(Args) error
	// Build adds the module's stages between the wires of a site.
	Build func(*Site)
}

// Site is where a module is built: the network, the stage's name, and the
// wires at the module's ports.
type Site struct {
	Net     *sim.Net
	Name    string
	Args    Args
	In, Out []*sim.Wire
}

// Add adds a stage. part tells the stages of one module apart; the stage that
// stands for the whole module has none.
func (s *Site) Add(part string, st sim.Stage) { s.Net.Add(s.part(part), st) }

// Wire adds a wire inside the module.
func (s *Site) Wire(part string, d *sim.Domain, width int) *sim.Wire {
	return s.Net.Wire(s.part(part), d, width)
}

func (s *Site) part(p string) string {
	if p == "" {
		return s.Name
	}
	return s.Name + "." + p
}

// Fill checks given parameters and adds the defaults. The error names the
// parameter (see ParamError).
func (m *Module) Fill(given Args) (Args, error) {
	a := Args{}
	for _, p := range m.Params {
		v, ok := given[p.Name]
		switch {
		case !ok && p.Required:
			return nil, &ParamError{p.Name, fmt.Sprintf("%s needs %s (%s)", m.Name, p.Name, p.Doc)}
		case !ok && p.From != nil:
			v = p.From(a)
		case !ok:
			v = p.Default
		default:
			if err := p.check(v); err != nil {
				return nil, &ParamError{p.Name, err.Error()}
			}
		}
		a[p.Name] = v
	}
	for name, v := range given {
		if _, ok := a[name]; ok {
			continue
		}
		i := slices.IndexFunc(m.Beside, func(p Param) bool { return p.Name == name })
		if i < 0 {
			var names []string
			for _, p := range m.Params {
				names = append(names, p.Name)
			}
			return nil, &ParamError{name, fmt.Sprintf("%s has no parameter %s, it has %s", m.Name, name, strings.Join(names, ", "))}
		}
		if err := m.Beside[i].check(v); err != nil {
			return nil, &ParamError{name, err.Error()}
		}
	}
	if m.Check != nil {
		if err := m.Check(a); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// ParamError is a parameter that a module does not take.
type ParamError struct{ Param, Why string }

func (e *ParamError) Error() string { return e.Why }

func (p *Param) check(v float64) error {
	num := func(v float64) string {
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatFloat(v, 'f', 0, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return fmt.Errorf("%s is not a number", p.Name)
	case len(p.Allowed) > 0 && !slices.Contains(p.Allowed, v):
		var want []string
		for _, a := range p.Allowed {
			want = append(want, num(a))
		}
		return fmt.Errorf("%s is %s, want %s", p.Name, num(v), strings.Join(want, ", "))
	case (p.Min != 0 || p.Max != 0) && (v < p.Min || v > p.Max):
		return fmt.Errorf("%s is %s, want %s to %s", p.Name, num(v), num(p.Min), num(p.Max))
	case (p.Whole || p.Power) && v != math.Trunc(v):
		return fmt.Errorf("%s is %s, want a whole number", p.Name, num(v))
	case p.Power && (v < 1 || bits.OnesCount64(uint64(v)) != 1):
		return fmt.Errorf("%s is %s, want a power of two", p.Name, num(v))
	}
	return nil
}

// Straight is the Ports of a module with one input and one output, both
// DATA_WIDTH bits wide.
func Straight(a Args) (in, out []Port) {
	p := []Port{{Width: a.Int("DATA_WIDTH") / 8}}
	return p, p
}

// Width is a parameter that gives a bus width in bits: 8 … 1024, a power of
// two.
func Width(name string) Param {
	return Param{Name: name, Required: true, Min: 8, Max: 1024, Power: true, Doc: "bus width in bits"}
}

// Flag is a parameter that is 0 or 1.
func Flag(name string, def float64, doc string) Param {
	return Param{Name: name, Default: def, Allowed: []float64{0, 1}, Doc: doc}
}

// Count is a whole parameter between min and max.
func Count(name string, def, min, max float64, doc string) Param {
	return Param{Name: name, Default: def, Min: min, Max: max, Whole: true, Doc: doc}
}

// Power is a parameter that is a power of two between min and max.
func Power(name string, def, min, max float64, doc string) Param {
	return Param{Name: name, Default: def, Min: min, Max: max, Power: true, Doc: doc}
}

// Beside are whole parameters that change no cycle, for Module.Beside.
func Beside(names ...string) (ps []Param) {
	for _, n := range names {
		ps = append(ps, Param{Name: n, Max: 1 << 20, Whole: true, Doc: "changes no cycle"})
	}
	return ps
}

// Always is a parameter whose default alone is modelled, for Module.Beside.
func Always(name string, v float64, doc string) Param {
	return Param{Name: name, Default: v, Allowed: []float64{v}, Doc: doc}
}

// MHz is a parameter that gives a clock.
func MHz(name string) Param {
	return Param{Name: name, Required: true, Min: 0.001, Max: 10_000, Doc: "clock in MHz"}
}
