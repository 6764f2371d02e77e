package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/bench"
)

// view is a document as the tables and charts read it: measured rows grouped
// by connections, absent systems apart, and what follows from them.
type view struct {
	bench.Document
	base   string // first system: what Ratio is relative to
	own    string // what ToBaseline is relative to; empty: no row has one
	names  []string
	conns  []int
	rows   []row
	absent []absence
	within bool // what is added was compared within repeats
}

// row is a system with figures, and the figures derived from its neighbours.
type row struct {
	bench.System
	Balanced *bench.Ratio // bookinfo: to without_envoy_balanced, of the medians
}

// absence is a system without figures, with the connections at which it has none.
type absence struct {
	Name, Reason string
	Conns        []int
}

// Where says at which numbers of connections a system is absent.
func (a absence) Where() string {
	if len(a.Conns) == 0 {
		return "any connections"
	}
	s := make([]string, len(a.Conns))
	for i, c := range a.Conns {
		s[i] = strconv.Itoa(c)
	}
	if len(a.Conns) == 1 && a.Conns[0] == 1 {
		return "1 connection"
	}
	return strings.Join(s, ", ") + " connections"
}

const (
	balancedBase = "without_envoy_balanced"
	floor        = "floor" // the generator against a null server; orders of magnitude below: in tables, not in charts
)

func newView(d bench.Document) *view {
	v := &view{Document: d}
	if len(d.Systems) > 0 {
		v.base = d.Systems[0].Name
	}
	for _, s := range d.Systems {
		if !slices.Contains(v.names, s.Name) {
			v.names = append(v.names, s.Name)
		}
		if s.Absent != nil || s.WallUS == nil {
			v.addAbsent(s)
			continue
		}
		if !slices.Contains(v.conns, s.Connections) {
			v.conns = append(v.conns, s.Connections)
		}
		if s.ToBaseline != nil && s.VariantOf == "" {
			v.own = s.Baseline
		}
		v.rows = append(v.rows, row{System: s})
	}
	slices.Sort(v.conns)
	slices.SortStableFunc(v.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.Connections, b.Connections),
			cmp.Compare(slices.Index(v.names, a.Name), slices.Index(v.names, b.Name)),
			cmp.Compare(a.Hops, b.Hops))
	})
	v.derive()
	return v
}

func (v *view) addAbsent(s bench.System) {
	reason := "no figures and no reason given"
	if s.Absent != nil && *s.Absent != "" {
		reason = *s.Absent
	}
	i := slices.IndexFunc(v.absent, func(a absence) bool { return a.Name == s.Name && a.Reason == reason })
	if i < 0 {
		v.absent = append(v.absent, absence{Name: s.Name, Reason: reason})
		i = len(v.absent) - 1
	}
	if c := s.Connections; c > 0 && !slices.Contains(v.absent[i].Conns, c) {
		v.absent[i].Conns = append(v.absent[i].Conns, c)
	}
}

func (v *view) derive() {
	for i := range v.rows {
		r := &v.rows[i]
		if b := v.at(balancedBase, r.Connections, -1); v.Experiment == "bookinfo" && b != nil {
			r.Balanced = &bench.Ratio{P50: r.WallUS.P50 / b.WallUS.P50, P90: r.WallUS.P90 / b.WallUS.P90}
		}
		base := v.at(v.base, r.Connections, -1)
		if v.Experiment != "hop" || r.Hops < 1 || base == nil || r.Name == v.base {
			continue
		}
		if r.Added != nil {
			v.within = true
		} else {
			r.Added = v.addedOfMedians(r, base)
		}
	}
}

// named is something that is said of a system.
type named struct{ name, text string }

// conditions are what the systems with figures do with a request.
func (v *view) conditions() []named {
	return v.said(func(s bench.System) string { return s.Conditions })
}

// unmodelled are the systems through a NIC without a model, and why.
func (v *view) unmodelled() []named {
	return v.said(func(s bench.System) string { return s.Unmodelled })
}

// said is what of says of systems with figures, each thing once.
func (v *view) said(of func(bench.System) string) (out []named) {
	for _, name := range v.names {
		for _, r := range v.rows {
			n := named{name, of(r.System)}
			if r.Name == name && n.text != "" && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// ownRatios are the ratios p90 to v.own of the systems whose baseline that is, for
// a terminal, whose tables have no room for it.
func (v *view) ownRatios() (out []named) {
	for _, name := range v.names {
		var text []string
		for _, c := range v.conns {
			if r := v.at(name, c, -1); r != nil && r.ToBaseline != nil && r.Baseline == v.own && name != v.own {
				text = append(text, fmt.Sprintf("%s at %d", fmtRatio(r.ToBaseline.P90, 2), c))
			}
		}
		if len(text) > 0 {
			unit := " connections"
			if len(text) == 1 && v.conns[0] == 1 {
				unit = " connection"
			}
			out = append(out, named{name, strings.Join(text, ", ") + unit})
		}
	}
	return out
}

// at returns the measured row of a system, nil if there is none. Hops below 0
// means any.
func (v *view) at(name string, conns, hops int) *row {
	for i := range v.rows {
		if r := &v.rows[i]; r.Name == name && r.Connections == conns && (hops < 0 || r.Hops == hops) {
			return r
		}
	}
	return nil
}

// ratioP50 and ratioP90 are r's ratio to the first system: the one the bench
// took within repeats if it is there, of the medians otherwise; NaN without either.
func (v *view) ratioP50(r *row) float64 {
	if r.Ratio != nil {
		return r.Ratio.P50
	}
	if b := v.at(v.base, r.Connections, -1); b != nil {
		return r.WallUS.P50 / b.WallUS.P50
	}
	return math.NaN()
}

func (v *view) ratioP90(r *row) float64 {
	if r.Ratio != nil {
		return r.Ratio.P90
	}
	if b := v.at(v.base, r.Connections, -1); b != nil {
		return r.WallUS.P90 / b.WallUS.P90
	}
	return math.NaN()
}

// errors is the sum of failed requests over all rows; requests that of all measured.
func (v *view) totals() (requests, errors uint64) {
	for _, r := range v.rows {
		requests += r.N
		errors += r.Errors
	}
	return requests, errors
}

// any reports whether some measured row satisfies has.
func (v *view) any(has func(row) bool) bool { return slices.ContainsFunc(v.rows, has) }
