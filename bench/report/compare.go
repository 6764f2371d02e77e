package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/internal/failure"
)

// Outcome of comparing one system between two runs.
type Outcome string

// The outcomes. Worse, Gone and Failing miss the gate; Unresolved alone makes
// the comparison untrustworthy.
const (
	Same       Outcome = "same"       // within the threshold
	Better     Outcome = "better"     // lower by more than the threshold
	Worse      Outcome = "worse"      // higher by more than the threshold, and the repeats do not overlap
	Unresolved Outcome = "unresolved" // beyond the threshold, but the repeats of the two runs overlap
	Gone       Outcome = "gone"       // measured before, without figures now
	Failing    Outcome = "failing"    // requests fail that did not before
	New        Outcome = "new"        // without figures before
	Baseline   Outcome = "baseline"   // what the others are divided by: its change is the machine's
)

// Change of one system at one number of connections and hops. Old and New are
// P90 ratios to the first system of the experiment; for that system itself
// they are wall P90 in us. NaN where there is none.
type Change struct {
	Name        string
	Connections int
	Hops        int
	Old, New    float64
	Outcome     Outcome
}

// Factor is New over Old.
func (c Change) Factor() float64 { return c.New / c.Old }

// Comparison of two documents of the same experiment.
type Comparison struct {
	Label     string
	Base      string  // the first system
	Threshold float64 // 0.1 lets a ratio rise by a tenth
	Changes   []Change
	Notes     []string // what makes the two runs hard to compare
}

// Compare sets two documents of one experiment side by side, system by system.
// It compares ratios to the experiment's first system, not microseconds, so
// that a faster or slower machine cancels out.
func Compare(before, after bench.Document, threshold float64) (Comparison, error) {
	a, b := newView(before), newView(after)
	c := Comparison{Label: label(after), Base: a.base, Threshold: threshold}
	switch {
	case !finite(threshold) || threshold <= 0:
		return c, failure.Usagef("compare: threshold is %g, want a number above 0 such as 0.1", threshold)
	case label(before) != label(after):
		return c, failure.Usagef("compare: the documents are of different experiments: %s and %s", label(before), label(after))
	case a.base != b.base:
		return c, failure.Usagef("compare: the documents divide by different systems: %s and %s", a.base, b.base)
	}
	c.Notes = differences(before, after)
	for i := range a.rows {
		old := &a.rows[i]
		c.Changes = append(c.Changes, c.change(a, b, old, b.at(old.Name, old.Connections, old.Hops)))
	}
	for i := range b.rows {
		r := &b.rows[i]
		if a.at(r.Name, r.Connections, r.Hops) != nil {
			continue
		}
		d := Change{r.Name, r.Connections, r.Hops, math.NaN(), b.ratioP90(r), New}
		if r.Name == c.Base {
			d.New = r.WallUS.P90
		}
		c.Changes = append(c.Changes, d)
	}
	return c, nil
}

func (c Comparison) change(a, b *view, old, now *row) Change {
	d := Change{Name: old.Name, Connections: old.Connections, Hops: old.Hops, Old: a.ratioP90(old), New: math.NaN()}
	if old.Name == c.Base {
		d.Old = old.WallUS.P90
	}
	if now == nil {
		d.Outcome = Gone
		return d
	}
	if d.New = b.ratioP90(now); old.Name == c.Base {
		d.New = now.WallUS.P90
	}
	beyond := d.Factor() > 1+c.Threshold
	switch {
	case now.Errors > 0 && old.Errors == 0:
		d.Outcome = Failing
	case old.Name == c.Base:
		d.Outcome = Baseline
	case !finite(d.Factor()), beyond && overlapScaled(a, b, old, now):
		d.Outcome = Unresolved
	case beyond:
		d.Outcome = Worse
	case d.Factor() < 1-c.Threshold && !overlapScaled(a, b, old, now):
		d.Outcome = Better
	default:
		d.Outcome = Same
	}
	return d
}

// overlapScaled reports whether the repeats of two runs cover each other at
// P90, each divided by its own run's baseline.
func overlapScaled(a, b *view, old, now *row) bool {
	x, y := a.at(a.base, old.Connections, -1), b.at(b.base, now.Connections, -1)
	if old.Spread == nil || now.Spread == nil || x == nil || y == nil {
		return false
	}
	return old.Spread.P90Max/x.WallUS.P90 >= now.Spread.P90Min/y.WallUS.P90 &&
		now.Spread.P90Max/y.WallUS.P90 >= old.Spread.P90Min/x.WallUS.P90
}

// differences names what was not the same in the two runs.
func differences(before, after bench.Document) []string {
	var notes []string
	a, b := before.Manifest, after.Manifest
	for _, f := range []struct{ name, old, new string }{
		{"kernel", a.Kernel, b.Kernel}, {"TCP congestion control", a.TCPCongestion, b.TCPCongestion}, {"CPU", a.CPU, b.CPU},
		{"cores", fmt.Sprint(a.Cores), fmt.Sprint(b.Cores)}, {"root", fmt.Sprint(a.Root), fmt.Sprint(b.Root)},
	} {
		if f.old != f.new && f.old != "" { // older documents have not every field
			notes = append(notes, fmt.Sprintf("%s differs: %s before, %s now", f.name, f.old, f.new))
		}
	}
	for _, w := range before.Warnings {
		notes = append(notes, "before: "+w)
	}
	for _, w := range after.Warnings {
		notes = append(notes, "now: "+w)
	}
	return notes
}

// called is a system's name, with its hops where it is there with several.
func (c Comparison) called(d Change) string {
	if slices.ContainsFunc(c.Changes, func(o Change) bool { return o.Name == d.Name && o.Hops != d.Hops }) {
		return oneLine(d.Name) + " with " + plural(d.Hops, "hop")
	}
	return oneLine(d.Name)
}

// Err is nil if the gate is met, a failure.Gate if a system got worse, fails
// or is gone, and a failure.Untrusted if some change is beyond the threshold
// but not beyond the noise.
func (c Comparison) Err() error {
	var missed, unresolved []string
	for _, d := range c.Changes {
		what := fmt.Sprintf("%s at %s: %s", c.called(d), plural(d.Connections, "connection"), d.Outcome)
		if d.Outcome == Worse {
			what += fmt.Sprintf(", %sx", fixed(d.Factor(), 2))
		}
		switch d.Outcome {
		case Worse, Gone, Failing:
			missed = append(missed, what)
		case Unresolved:
			unresolved = append(unresolved, what)
		}
	}
	switch {
	case len(missed) > 0:
		return failure.New(failure.Gate, "compare "+c.Label, strings.Join(missed, "; "),
			"look at the rows marked worse, gone or failing; --threshold sets how much a ratio may rise")
	case len(unresolved) > 0:
		return failure.New(failure.Untrusted, "compare "+c.Label, strings.Join(unresolved, "; "),
			"measure again with more repeats: the repeats of the two runs overlap")
	}
	return nil
}

// Write writes the comparison as a table for a terminal.
func (c Comparison) Write(w io.Writer) error {
	head := []string{"system", "conns", "hops", "ratio p90 before", "ratio p90 now", "change", "outcome"}
	lines := [][]string{head}
	for _, d := range c.Changes {
		before, now := fmtRatio(d.Old, 3), fmtRatio(d.New, 3)
		if d.Name == c.Base {
			before, now = fmtUS(d.Old)+" wall_us", fmtUS(d.New)+" wall_us"
		}
		lines = append(lines, []string{oneLine(d.Name), fmt.Sprint(d.Connections), fmt.Sprint(d.Hops), before, now, percent(d.Factor()), string(d.Outcome)})
	}
	width := make([]int, len(head))
	for _, l := range lines {
		for j, s := range l {
			width[j] = max(width[j], utf8.RuneCountInString(s))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ratios to %s; a rise above %s misses the gate\n\n", oneLine(c.Label), oneLine(c.Base), percent(1+c.Threshold))
	for _, l := range lines {
		for j, s := range l {
			l[j] = pad(s, width[j], j == 0 || j == len(l)-1)
		}
		b.WriteString(strings.TrimRight(strings.Join(l, "  "), " ") + "\n")
	}
	for _, n := range c.Notes {
		fmt.Fprintf(&b, "note: %s\n", oneLine(n))
	}
	_, err := io.WriteString(w, b.String())
	return wrap("write comparison", err)
}

// percent writes a factor as a signed change.
func percent(f float64) string {
	if !finite(f) {
		return none
	}
	s := fixed((f-1)*100, 1) + "%"
	if f > 1 && !strings.HasPrefix(s, "0.0") {
		return "+" + s
	}
	return s
}
