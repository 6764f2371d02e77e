// Package area estimates what a module takes of an FPGA: look-up tables (6
// inputs), flip-flops and 36 Kbit block RAMs of an AMD UltraScale+ part. An
// estimate is a range that follows from the module's registers and memories by
// a rule, and names the rule. It is no result of synthesis; what follows from no
// rule and no source is unknown, and says so instead of a number.
package area

import (
	"fmt"
	"math"
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
)

// Range is from Lo to Hi. An open one has parts that are not known: it is at
// least Lo, and Hi is what is known at most.
type Range struct {
	Lo   float64 `json:"lo"`
	Hi   float64 `json:"hi"`
	Open bool    `json:"open,omitempty"`
}

// unknown is the range that says nothing.
var unknown = Range{Open: true}

// IsUnknown reports whether nothing at all is known.
func (r Range) IsUnknown() bool { return r.Open && r.Hi == 0 }

// Plus is the sum of two ranges.
func (r Range) Plus(s Range) Range { return Range{r.Lo + s.Lo, r.Hi + s.Hi, r.Open || s.Open} }

// Times is r n times.
func (r Range) Times(n float64) Range { return Range{r.Lo * n, r.Hi * n, r.Open} }

// String prints "12-40", "12" when both ends are equal, "from 12" when the range
// is open, and "unknown".
func (r Range) String() string {
	switch {
	case r.IsUnknown():
		return "unknown"
	case r.Open:
		return fmt.Sprintf("from %g", r.Lo)
	case r.Lo == r.Hi:
		return fmt.Sprintf("%g", r.Lo)
	}
	return fmt.Sprintf("%g-%g", r.Lo, r.Hi)
}

// round makes whole LUTs and flip-flops, and halves of block RAMs.
func (r Range) round(step float64) Range {
	return Range{math.Floor(r.Lo/step) * step, math.Ceil(r.Hi/step) * step, r.Open}
}

// Estimate is what a module takes.
type Estimate struct {
	LUT   Range    `json:"lut"`
	FF    Range    `json:"ff"`
	BRAM  Range    `json:"bram36"`
	Rules []string `json:"rules"` // what the ranges follow from, with their sources
}

// Plus is the sum of two estimates. It has each rule once.
func (e Estimate) Plus(f Estimate) Estimate {
	rules := slices.Clone(e.Rules)
	for _, r := range f.Rules {
		if !slices.Contains(rules, r) {
			rules = append(rules, r)
		}
	}
	return Estimate{e.LUT.Plus(f.LUT), e.FF.Plus(f.FF), e.BRAM.Plus(f.BRAM), rules}
}

// Of estimates a module of that name with its parameters, defaults filled in
// (module.Module.Fill). Of a module that it does not know, all is unknown.
func Of(name string, a module.Args) Estimate {
	rule, ok := rules[name]
	if !ok {
		return Estimate{unknown, unknown, unknown, []string{"no rule for " + name}}
	}
	e := rule(args(a))
	e.LUT, e.FF, e.BRAM = e.LUT.round(1), e.FF.round(1), e.BRAM.round(0.5)
	return e
}

// Known reports whether there is a rule for modules of that name.
func Known(name string) bool { return rules[name] != nil }

// args are parameters of which some may not be there.
type args module.Args

func (a args) or(name string, without float64) float64 {
	if v, ok := a[name]; ok {
		return v
	}
	return without
}
