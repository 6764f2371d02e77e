package report

import (
	"fmt"
	"strings"

	"github.com/meshnic/meshnic/bench"
)

// waterfallChart sets the kinds of time of a request through a NIC side by side:
// what was measured, as the path without a NIC and what the emulation adds, and
// what is projected, as the same path and the card. Nil without such a system.
func (v *view) waterfallChart() *canvas {
	if !v.any(func(r row) bool { return r.ProjectedUS != nil }) {
		return nil
	}
	b := barChart{title: "Where a request through a NIC spends its time, p50 in µs",
		sub: "each panel has its own scale; wall is measured, model counted, projected derived: see the table of times",
		legend: []legendItem{{label: "wall_us of the same path without a NIC", slot: "time-wall"},
			{label: "emu_us: what the emulation adds", slot: "time-emu"}, {label: "model_ns per request, drawn in µs", slot: "time-model"}}}
	for _, c := range v.conns {
		b.panels = append(b.panels, plural(c, "connection"))
	}
	v.eachBarRow(func(name string, hops int, r barRow) {
		wall, card := make([]bar, len(v.conns)), make([]bar, len(v.conns))
		have := false
		for j, c := range v.conns {
			m := v.at(name, c, hops)
			if m == nil || m.ProjectedUS == nil || m.EmuUS == nil {
				continue
			}
			have = true
			p, model := m.ProjectedUS, m.ModelNS.PerRequest/1e3
			like := p.P50 - model
			wall[j] = bar{segments: []segment{{like, "time-wall"}, {m.EmuUS.P50, "time-emu"}}, label: fmtUS(m.WallUS.P50),
				tip: fmt.Sprintf("%s, %s: wall_us %s; %s of it as %s, emu_us %s", r.label, b.panels[j], fmtUS(m.WallUS.P50), fmtUS(like), p.To, fmtUS(m.EmuUS.P50))}
			card[j] = bar{segments: []segment{{like, "time-wall"}, {model, "time-model"}}, label: fmtUS(p.P50),
				tip: fmt.Sprintf("%s, %s: projected_us %s, %s to %s: %s as %s, model_ns %s", r.label, b.panels[j], fmtUS(p.P50), fmtUS(p.Low), fmtUS(p.High), fmtUS(like), p.To, fmtUS(m.ModelNS.PerRequest))}
		}
		if !have {
			return
		}
		label := r.label
		r.gap, r.label = len(b.rows) > 0, label+": wall"
		b.rows, b.bars = append(b.rows, r, barRow{label: label + ": projected", st: r.st}), append(b.bars, wall, card)
	})
	return b.draw()
}

// stageChart is where a request's frames spend their time on the card; nil if
// nobody has looked.
func (v *view) stageChart() *canvas {
	m := v.ModelCheck
	if m == nil || len(m.Stages) == 0 {
		return nil
	}
	b := barChart{title: "The same request on the card, stage by stage, model_ns",
		sub: fmt.Sprintf("all frames of a request together, over the %s crossings of the card by %s; stages and remainder add up to their time on it",
			group(m.Frames), plural(int(m.Requests), "request")),
		panels: []string{"model_ns a request"},
		legend: []legendItem{{label: "through the stage", slot: "cpu-services"}, {label: "behind other frames", slot: "cpu-proxy"},
			{label: "until the whole frame is there", slot: "cpu-nic"}, {label: "held up by what comes after", slot: "cpu-generator"}}}
	add := func(name string, t bench.StageTime) {
		x := bar{segments: []segment{{t.Pass, "cpu-services"}, {t.Queue, "cpu-proxy"}, {t.StoreForward, "cpu-nic"}, {t.Blocked, "cpu-generator"}}}
		x.label = fmtUS(x.total())
		x.tip = fmt.Sprintf("%s, model_ns a request: through it %s, behind others %s, for the whole frame %s, held up %s",
			name, fmtUS(t.Pass), fmtUS(t.Queue), fmtUS(t.StoreForward), fmtUS(t.Blocked))
		b.rows, b.bars = append(b.rows, barRow{label: name}), append(b.bars, []bar{x})
	}
	for _, t := range byKind(m.Stages) {
		add(t.Stage, t)
	}
	add("between stages", bench.StageTime{Pass: m.Remainder})
	return b.draw()
}

// byKind puts the stages of all ports together: "mac_rx@0" and "mac_rx@1" are
// "mac_rx, all ports".
func byKind(stages []bench.StageTime) (out []bench.StageTime) {
	at := map[string]int{}
	for _, s := range stages {
		name := s.Stage
		if kind, _, ok := strings.Cut(name, "@"); ok {
			name = kind + ", all ports"
		} else if strings.HasPrefix(name, "source.") {
			name = "line, all ports"
		}
		i, ok := at[name]
		if !ok {
			i = len(out)
			at[name] = i
			out = append(out, bench.StageTime{Stage: name})
		}
		o := &out[i]
		o.Pass += s.Pass
		o.Queue += s.Queue
		o.StoreForward += s.StoreForward
		o.Blocked += s.Blocked
	}
	return out
}

// stageCaption says how far the figures are to be believed.
func (v *view) stageCaption() string {
	m := v.ModelCheck
	if m == nil {
		return ""
	}
	if !m.Agree {
		return "NOT TO BE TRUSTED: the live NIC and the two engines disagree about the capture " + m.Capture + "."
	}
	text := fmt.Sprintf("%s through the card %s. The stretch was captured as %s; both engines and the live NIC have %.3f ns for its frames.",
		m.System, m.Pipeline, m.Capture, m.Live)
	if m.PerSecond > 0 {
		text += fmt.Sprintf(" Replayed with its frames evenly apart and ever closer, the card carries %.2f million requests a second of it before it loses a frame.", m.PerSecond/1e6)
	}
	return text
}
