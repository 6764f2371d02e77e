package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/corundum"
	"github.com/meshnic/meshnic/datapath/ethernet"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/netfpga"
)

// Modules are the modules that are built in: what every description may name.
var Modules = slices.Concat(axis.Modules, ethernet.Modules, corundum.Modules, netfpga.Modules, card.Modules)

// Find returns the built-in module of a name.
func Find(name string) (*module.Module, bool) { return find(name, Modules) }

func find(name string, in []module.Module) (*module.Module, bool) {
	i := slices.IndexFunc(in, func(m module.Module) bool { return m.Name == name })
	if i < 0 {
		return nil, false
	}
	return &in[i], true
}

// Description is a pipeline as data.
type Description struct {
	Name     string  `json:"name,omitempty"`
	Doc      string  `json:"doc,omitempty"`
	ClockMHz float64 `json:"clock_mhz,omitempty"` // of the first stage and of all that are not behind a crossing; 0: 250, or what the first stage says
	Stages   []Stage `json:"stages"`

	// Own are the user's modules, which this description may name beside those
	// built in.
	Own []module.Module `json:"-"`
}

// Find returns the module of a name, built in or the description's own.
func (d *Description) Find(name string) (*module.Module, bool) {
	if m, ok := Find(name); ok {
		return m, true
	}
	return find(name, d.Own)
}

// owned refuses modules of the user's that would hide another.
func (d *Description) owned() (problems Problems) {
	for i, m := range d.Own {
		if _, ok := Find(m.Name); ok {
			problems = append(problems, Problem{Why: fmt.Sprintf("module %s is built in: give yours another name", m.Name)})
		} else if _, ok := find(m.Name, d.Own[:i]); ok {
			problems = append(problems, Problem{Why: fmt.Sprintf("module %s comes twice", m.Name)})
		}
	}
	return problems
}

// Stage is one entry of a Description.
type Stage struct {
	Module   string      `json:"module"`
	Name     string      `json:"name,omitempty"` // unique; default the module's name and its place
	ClockMHz float64     `json:"clock_mhz,omitempty"`
	From     []string    `json:"from,omitempty"` // a source (in0, in1, …), a stage (its first output) or stage.N (its output N); default the stage before
	Params   module.Args `json:"params,omitempty"`

	at position
}

// position is where something stands in a file; 0 if it was built in Go.
type position struct{ line, column int }

// Problem is what is wrong with a description, and where.
type Problem struct {
	Line, Column int // 0 if the description does not come from a file
	Stage        string
	Why          string
}

func (p Problem) String() string {
	s := p.Why
	if p.Stage != "" {
		s = "stage " + p.Stage + ": " + s
	}
	if p.Line > 0 {
		s = fmt.Sprintf("%d:%d: %s", p.Line, p.Column, s)
	}
	return s
}

// Problems is an error: everything that was found wrong.
type Problems []Problem

func (p Problems) Error() string {
	var lines []string
	for _, x := range p {
		lines = append(lines, x.String())
	}
	return strings.Join(lines, "\n")
}

func (s *Stage) problem(format string, args ...any) Problem {
	return Problem{s.at.line, s.at.column, s.Name, fmt.Sprintf(format, args...)}
}
