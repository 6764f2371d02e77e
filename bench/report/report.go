// Package report turns the documents of a bench run into what people read: a
// terminal table, CSV, the paper's figure as SVG, and one self-contained HTML
// file that needs no script, no network and no second file.
//
// Times of different kinds never share a column: every header says wall_us
// (measured here, the emulation's own cost included), model_ns (cycles of the
// modelled card over its clock) or emu_us (what the emulation itself costs).
package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/bench"
)

// Run is what one HTML report shows.
type Run struct {
	Title     string // of the page; empty means "meshnic bench"
	Name      string // of the run folder, shown as is; may be empty
	Documents []bench.Document
}

// experiments in the order in which a report shows them.
func experiments() []string { return []string{"bookinfo", "hop", "curl", "link"} }

// works of bookinfo, the headline first.
func works() []string { return []string{"polyglot", "native", "paper"} }

// order returns the documents in reading order; documents of the same
// experiment and work keep theirs.
func (r Run) order() []bench.Document {
	docs := slices.Clone(r.Documents)
	rank := func(list []string, s string) int {
		if i := slices.Index(list, s); i >= 0 {
			return i
		}
		return len(list)
	}
	slices.SortStableFunc(docs, func(a, b bench.Document) int {
		if d := rank(experiments(), a.Experiment) - rank(experiments(), b.Experiment); d != 0 {
			return d
		}
		return rank(works(), a.Work) - rank(works(), b.Work)
	})
	return docs
}

// find returns the first document of an experiment, of the given work if that is not empty.
func (r Run) find(experiment, work string) *view {
	for _, d := range r.order() {
		if d.Experiment == experiment && (work == "" || d.Work == work) {
			return newView(d)
		}
	}
	return nil
}

// label names a document in headings and lists: "bookinfo, polyglot".
func label(d bench.Document) string {
	if d.Work == "" {
		return d.Experiment
	}
	return d.Experiment + ", " + d.Work
}

// slug is label as a file or anchor name.
func slug(d bench.Document) string {
	clean := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}
	return strings.Map(clean, strings.ToLower(strings.ReplaceAll(label(d), ", ", "-")))
}

// wrap names the operation that failed in the package's errors.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("report: %s: %w", op, err)
}
