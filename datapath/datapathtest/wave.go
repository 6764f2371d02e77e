package datapathtest

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// wave is what stood on the wires of a network, edge by edge.
type wave struct {
	title string
	net   *sim.Net
	wires [][]sample // by wire, in the order of cycles
	drops []Dropped
}

// sample is a wire at an edge. Edges without one had nothing on the wire.
type sample struct {
	at           sim.Cycle
	valid, ready bool
	beat         sim.Beat
}

// add records all wires at edge at.
func (v *wave) add(at sim.Cycle) {
	for i, w := range v.net.Wires {
		v.wires[i] = append(v.wires[i], sample{at, w.Valid, w.Ready, w.Beat})
	}
}

// wave is what a trace says about the wires.
func (t *Trace) wave(title string) *wave {
	v := &wave{title, t.Net, make([][]sample, len(t.Net.Wires)), t.Drops}
	for i, events := range t.Wires {
		for k, e := range events {
			if e.Accepted {
				v.wires[i] = append(v.wires[i], sample{e.At, true, true, e.Beat})
				continue
			}
			until := e.At + around
			if k+1 < len(events) {
				until = events[k+1].At
			}
			for c := e.At; c < until; c++ {
				v.wires[i] = append(v.wires[i], sample{c, true, false, e.Beat})
			}
		}
	}
	return v
}

// around is how many cycles before and after a violation are drawn.
const around = 5

// window draws the cycles around one, and marks it.
func (v *wave) window(at sim.Cycle) string {
	from := sim.Cycle(0)
	if at > around {
		from = at - around
	}
	return v.draw(from, at+around, func(c sim.Cycle) bool { return c == at })
}

const column = 11 // characters a cycle

// draw draws cycles from … to. A beat is frame:offset+bytes; tready is drawn
// while there is a beat to be ready for.
func (v *wave) draw(from, to sim.Cycle, mark func(sim.Cycle) bool) string {
	var b strings.Builder
	name := 4
	for _, w := range v.net.Wires {
		name = max(name, len(w.Name))
	}
	row := func(wire, signal string, cell func(sim.Cycle) string) {
		var r strings.Builder
		fmt.Fprintf(&r, "%-*s %-6s ", name, wire, signal)
		for c := from; c <= to; c++ {
			fmt.Fprintf(&r, "|%-*s", column-1, cell(c))
		}
		b.WriteString(strings.TrimRight(r.String(), " ") + "\n")
	}
	level := func(known, high bool) string {
		switch {
		case !known:
			return ""
		case high:
			return strings.Repeat("=", column-1)
		}
		return strings.Repeat("_", column-1)
	}
	fmt.Fprintf(&b, "%s\n", v.title)
	row("", "cycle", func(c sim.Cycle) string {
		if mark(c) {
			return fmt.Sprintf("%d <--", c)
		}
		return fmt.Sprint(c)
	})
	for i, w := range v.net.Wires {
		at := func(c sim.Cycle) sample {
			k, ok := slices.BinarySearchFunc(v.wires[i], c, func(s sample, c sim.Cycle) int { return int(s.at) - int(c) })
			if !ok {
				return sample{at: c}
			}
			return v.wires[i][k]
		}
		row(w.Name, "tvalid", func(c sim.Cycle) string { return level(true, at(c).valid) })
		row("", "tready", func(c sim.Cycle) string { return level(at(c).valid, at(c).ready) })
		row("", "tlast", func(c sim.Cycle) string { return level(at(c).valid, at(c).beat.Last) })
		row("", "beat", func(c sim.Cycle) string {
			if s := at(c); s.valid {
				return fmt.Sprintf("%d:%d+%d", s.beat.Frame, s.beat.Off, s.beat.Bytes)
			}
			return ""
		})
	}
	return b.String()
}

// end is the last cycle with a beat.
func (v *wave) end() (c sim.Cycle) {
	for _, w := range v.wires {
		for _, s := range w {
			if s.valid {
				c = max(c, s.at)
			}
		}
	}
	return c
}

// vcd writes it as a waveform for GTKWave or Surfer.
func (v *wave) vcd(to io.Writer, data trace.Data) error {
	out := trace.NewVCD(to, v.net, data)
	next, stands := make([]int, len(v.wires)), make([]bool, len(v.wires))
	drops := slices.Clone(v.drops)
	slices.SortStableFunc(drops, func(a, b Dropped) int { return cmp.Compare(a.At, b.At) })
	for {
		at := sim.Never
		for i, w := range v.net.Wires {
			if next[i] < len(v.wires[i]) {
				at = min(at, w.Clock.At(v.wires[i][next[i]].at))
			}
		}
		for len(drops) > 0 && drops[0].At <= at {
			out.Dropped(drops[0].Stage, drops[0].At, drops[0].Frame, drops[0].Why)
			drops = drops[1:]
		}
		if at == sim.Never {
			return out.Close()
		}
		for i, w := range v.net.Wires {
			if next[i] == len(v.wires[i]) || w.Clock.At(v.wires[i][next[i]].at) != at {
				continue
			}
			s := v.wires[i][next[i]]
			next[i]++
			if stands[i] && (!s.valid || s.beat != v.wires[i][next[i]-2].beat) {
				out.Withdrawn(w, s.at)
				stands[i] = false
			}
			if !s.valid {
				continue
			}
			if !stands[i] {
				out.Offered(w, s.at, s.beat)
			}
			if s.ready {
				out.Accepted(w, s.at, s.beat)
			}
			stands[i] = !s.ready
		}
	}
}
