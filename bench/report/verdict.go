package report

import (
	"fmt"
	"strings"

	"github.com/meshnic/meshnic/bench/reference"
)

// Verdict is one sentence about a run, computed from its figures.
type Verdict struct {
	Text string
	// Holds says whether the stated rule is met, nil where the sentence only
	// reports a figure.
	Holds *bool
}

// Mark is "holds", "does not hold" or empty.
func (v Verdict) Mark() string {
	switch {
	case v.Holds == nil:
		return ""
	case *v.Holds:
		return "holds"
	}
	return "does not hold"
}

// Rules by which a sentence is judged; each is printed with its sentence.
const (
	convergedWithin = 1.10 // the paper's three systems at 8 connections: largest over smallest P90
	curlAtMost      = 1.10 // curl p50 through the NIC over direct
	linkAtMost      = 2.2  // TCP ping-pong p50 through the NIC over direct
)

// Verdicts returns what a run says about the paper's claims and this project's
// own bounds, the headline first. A claim without its figures is left out.
func Verdicts(run Run) []Verdict {
	var out []Verdict
	for _, work := range works() {
		if v := run.find("bookinfo", work); v != nil {
			out = append(out, v.bookinfoVerdicts()...)
		}
	}
	if v := run.find("hop", ""); v != nil {
		out = append(out, v.hopVerdicts()...)
	}
	if v := run.find("curl", ""); v != nil {
		out = append(out, v.curlVerdicts()...)
	}
	if v := run.find("link", ""); v != nil {
		out = append(out, v.linkVerdicts()...)
	}
	return out
}

func (v *view) bookinfoVerdicts() []Verdict {
	var out []Verdict
	for _, name := range []string{"envoy", "envoy_inbound", "sidecar", "nic_passthrough"} {
		base, r := v.at("without_envoy", 1, -1), v.at(name, 1, -1)
		if base == nil || r == nil {
			continue
		}
		q := r.WallUS.P90 / base.WallUS.P90
		if v.base == "without_envoy" {
			q = v.ratioP90(r)
		}
		text := fmt.Sprintf("%s work: %s P90 at 1 connection is %sx without_envoy", v.Work, name, fmtRatio(q, 2))
		if p, ok := reference.Lookup("bookinfo", name, 1); ok && p.Baseline == "without_envoy" {
			text += fmt.Sprintf(" (paper %sx)", fixed(p.Ratio, 2))
		}
		if r.Balanced != nil {
			text += fmt.Sprintf(" and %sx %s", fmtRatio(r.Balanced.P90, 2), balancedBase)
		}
		out = append(out, Verdict{Text: text + overlap(base, r)})
	}
	return append(out, v.convergence()...)
}

// convergence is the paper's second claim.
func (v *view) convergence() []Verdict {
	a, b, c := v.at("without_envoy", 8, -1), v.at("envoy_inbound", 8, -1), v.at("envoy", 8, -1)
	if a == nil || b == nil || c == nil {
		return nil
	}
	p := []float64{a.WallUS.P90, b.WallUS.P90, c.WallUS.P90}
	lo, hi := bounds(p, true)
	ok := hi/lo <= convergedWithin
	return []Verdict{{Holds: &ok, Text: fmt.Sprintf(
		"%s work: at 8 connections P90 of without_envoy, envoy_inbound and envoy is 1 : %s : %s; the paper reports that they converge (rule: within %sx of each other)",
		v.Work, fmtRatio(p[1]/p[0], 2), fmtRatio(p[2]/p[0], 2), fixed(convergedWithin, 2))}}
}

func (v *view) hopVerdicts() []Verdict {
	if len(v.conns) == 0 {
		return nil
	}
	var out []Verdict
	for _, conns := range v.conns {
		var parts []string
		for _, n := range v.lineNames() {
			r := v.at(n, conns, 1)
			if r == nil || r.Added == nil {
				continue
			}
			s := n + " " + fmtUS(r.Added.TotalUS)
			if n != "envoy" && finite(r.Added.ToEnvoy) {
				s += " (" + fmtRatio(r.Added.ToEnvoy, 2) + "x envoy)"
			}
			parts = append(parts, s)
		}
		if len(parts) > 0 {
			out = append(out, Verdict{Text: fmt.Sprintf("one hop at %s adds, wall_us p50: %s", plural(conns, "connection"), strings.Join(parts, ", "))})
		}
	}
	return out
}

func (v *view) curlVerdicts() []Verdict {
	paper, _ := reference.Lookup("curl", "nic_passthrough", 1)
	for _, n := range []string{"nic_passthrough_xdp", "nic_passthrough_packet", "nic_passthrough_tap"} {
		r := v.at(n, 1, -1)
		base := v.at("direct", 1, -1)
		if r == nil || base == nil || v.base != "direct" {
			continue
		}
		ok := v.ratioP50(r) <= curlAtMost
		return []Verdict{{Holds: &ok, Text: fmt.Sprintf("curl p50 through %s is %sx direct (paper %sx; rule: at most %sx)%s",
			n, fmtRatio(v.ratioP50(r), 3), tickLabel(paper.Ratio), fixed(curlAtMost, 2), overlap50(base, r))}}
	}
	return nil
}

func (v *view) linkVerdicts() []Verdict {
	r, base, h := v.at("nic_passthrough_xdp", 1, -1), v.at("direct", 1, -1), v.at("haproxy_tcp", 1, -1)
	if r == nil || base == nil || v.base != "direct" {
		return nil
	}
	ok := v.ratioP50(r) <= linkAtMost
	out := []Verdict{{Holds: &ok, Text: fmt.Sprintf("TCP ping-pong p50 through nic_passthrough_xdp is %sx direct (rule: at most %sx)",
		fmtRatio(v.ratioP50(r), 2), fixed(linkAtMost, 1))}}
	if h != nil {
		below := r.WallUS.P50 < h.WallUS.P50
		out = append(out, Verdict{Holds: &below, Text: fmt.Sprintf("TCP ping-pong p50 through nic_passthrough_xdp is %sx haproxy_tcp (rule: below it)%s",
			fmtRatio(r.WallUS.P50/h.WallUS.P50, 2), overlap50(h, r))})
	}
	return out
}

// overlap warns where the repeats of two systems cover each other, so that
// the run does not tell them apart.
func overlap(a, b *row) string {
	if a.Name == b.Name || a.Spread == nil || b.Spread == nil ||
		a.Spread.P90Max < b.Spread.P90Min || b.Spread.P90Max < a.Spread.P90Min {
		return ""
	}
	return "; their repeats overlap, so this run does not tell them apart"
}

func overlap50(a, b *row) string {
	if a.Spread == nil || b.Spread == nil ||
		a.Spread.P50Max < b.Spread.P50Min || b.Spread.P50Max < a.Spread.P50Min {
		return ""
	}
	return "; their repeats overlap, so this run does not tell them apart"
}
