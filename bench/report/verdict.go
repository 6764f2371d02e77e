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
	var views []*view // of bookinfo, by work
	for _, work := range works() {
		if v := run.find("bookinfo", work); v != nil {
			views = append(views, v)
		}
	}
	out := append(paperRatios(views), convergence(views)...)
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

const unproxied = "without_envoy" // the paper's baseline

// paperRatios says per system what the paper's headline says, for each work.
func paperRatios(views []*view) []Verdict {
	var out []Verdict
	for _, name := range []string{"envoy", "envoy_inbound", "sidecar", "sidecar_inbound", "nic_passthrough", "nic_offload", "k8s_with_istio", "k8s_sidecar", "k8s_nic_offload"} {
		var works, blurred []string
		over := unproxied
		for _, v := range views {
			r := v.at(name, 1, -1)
			if r != nil && r.ToBaseline != nil {
				over = r.Baseline
			}
			base := v.at(over, 1, -1)
			if base == nil || r == nil {
				continue
			}
			q := r.WallUS.P90 / base.WallUS.P90
			switch over {
			case r.Baseline:
				q = r.ToBaseline.P90
			case v.base:
				q = v.ratioP90(r)
			}
			s := fmt.Sprintf("%sx %s with %s work", fmtRatio(q, 2), over, v.Work)
			if r.Balanced != nil && over == unproxied {
				s += fmt.Sprintf(" (%sx %s)", fmtRatio(r.Balanced.P90, 2), balancedBase)
			}
			works = append(works, s)
			if overlap(base, r) {
				blurred = append(blurred, v.Work)
			}
		}
		if len(works) == 0 {
			continue
		}
		text := name + " P90 at 1 connection is " + strings.Join(works, ", ")
		if p, ok := reference.Lookup("bookinfo", name, 1); ok && p.Baseline == over {
			text += fmt.Sprintf("; the paper has %sx", fixed(p.Ratio, 2))
		}
		if len(blurred) > 0 {
			text += fmt.Sprintf("; with %s work its repeats overlap those of %s, so this run does not tell the two apart", strings.Join(blurred, " and "), over)
		}
		out = append(out, Verdict{Text: text})
	}
	return out
}

// convergence is the paper's second claim, judged by the headline's work.
func convergence(views []*view) []Verdict {
	var parts []string
	var holds *bool
	for _, v := range views {
		a, b, c := v.at(unproxied, 8, -1), v.at("envoy_inbound", 8, -1), v.at("envoy", 8, -1)
		if a == nil || b == nil || c == nil {
			continue
		}
		p := []float64{a.WallUS.P90, b.WallUS.P90, c.WallUS.P90}
		lo, hi := bounds(p, true)
		if ok := hi/lo <= convergedWithin; holds == nil {
			holds = &ok
		}
		parts = append(parts, fmt.Sprintf("1 : %s : %s with %s work", fmtRatio(p[1]/p[0], 2), fmtRatio(p[2]/p[0], 2), v.Work))
	}
	if len(parts) == 0 {
		return nil
	}
	return []Verdict{{Holds: holds, Text: fmt.Sprintf(
		"At 8 connections P90 of %s, envoy_inbound and envoy is %s; the paper reports that they converge (rule: within %sx of each other)",
		unproxied, strings.Join(parts, ", "), fixed(convergedWithin, 2))}}
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
			s := n + " " + fmtUS(r.Added.P50US)
			if x := r.addedTo("envoy"); finite(x) {
				s += " (" + fmtRatio(x, 2) + "x envoy)"
			}
			parts = append(parts, s)
		}
		if len(parts) > 0 {
			out = append(out, Verdict{Text: fmt.Sprintf("One hop at %s adds, wall_us p50: %s", plural(conns, "connection"), strings.Join(parts, ", "))})
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

// overlap reports whether the repeats of two systems cover each other at P90,
// so that the run does not tell them apart.
func overlap(a, b *row) bool {
	return a.Spread != nil && b.Spread != nil &&
		a.Spread.P90Max >= b.Spread.P90Min && b.Spread.P90Max >= a.Spread.P90Min
}

// overlap50 says the same of P50, as the end of a sentence.
func overlap50(a, b *row) string {
	if a.Spread == nil || b.Spread == nil ||
		a.Spread.P50Max < b.Spread.P50Min || b.Spread.P50Max < a.Spread.P50Min {
		return ""
	}
	return fmt.Sprintf("; the repeats of %s and %s overlap, so this run does not tell the two apart", a.Name, b.Name)
}
