package card_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
)

// chance decides by the frame's number.
type chance uint32

func (c chance) Head(frame uint32) int { return int(frame * 7 % 130) }

func (c chance) Decide(s card.Seen) (v card.Verdict) {
	switch x := (s.Frame + uint32(c)) * 2654435761 >> 28; {
	case x < 3:
		v.Loss = sim.LossVerdict
	case x < 8:
		v.Route, v.Dest = true, uint8(x)
	}
	v.Reads = int(s.Frame%7) - 1
	return v
}

// resizing decides by the frame's number too, and makes frames longer or shorter.
type resizing struct{ chance }

func (c resizing) Decide(s card.Seen) card.Verdict {
	v := c.chance.Decide(s)
	v.Push = int(s.Frame%5)*20 - 40
	return v
}

// Text makes a chance an author, of frames of its own as well.
func (c chance) Text(frame uint32) (t card.Text, ok bool) {
	x := (frame + uint32(c)) * 2654435761 >> 8
	t = card.Text{Consume: x%5 == 0, Written: int(x>>3) % 600, Grow: int(x>>9)%300 - 100}
	for n := x >> 12 % 8; n > 5; n-- {
		t.Own = append(t.Own, sim.Frame{ID: frame<<2 + n | 1<<31, Bytes: 1 + int(x>>5)%500, Dest: uint8(n)})
	}
	if x>>2%4 == 0 {
		t.Written, t.Grow = 0, 0
	}
	return t, x>>15%7 > 0
}

func drawRewriter(r *rand.Rand, seed uint64, in, out *sim.Wire) sim.Stage {
	c := card.RewriterConfig{Latency: 1 + r.IntN(5), Rate: 1 + r.IntN(80), Written: r.IntN(2) * r.IntN(400), Grow: r.IntN(2) * (r.IntN(200) - 80), MaxGrow: 200}
	if r.IntN(3) > 0 {
		c.By = chance(seed)
	}
	return card.NewRewriter(c, in, out)
}

// drawPipe is a Pipe that does not hold frames, or one that does.
func drawPipe(r *rand.Rand, seed uint64, in, out *sim.Wire) sim.Stage {
	c := card.Config{Latency: 1 + r.IntN(9), Head: r.IntN(100), MaxHead: r.IntN(120), Interval: r.IntN(2) * r.IntN(9)}
	if r.IntN(2) == 0 {
		c.Act = chance(seed)
	}
	if r.IntN(2) == 0 {
		return card.NewPipe(c, in, out)
	}
	c.Read, c.Reads, c.MaxReads = r.IntN(2)*r.IntN(30), r.IntN(4), r.IntN(5)
	switch r.IntN(4) {
	case 0:
		c.Frames = 1 + r.IntN(9)
	case 1:
		c.Head, c.MaxHead = r.IntN(600), r.IntN(800)
		c.Rate, c.Known, c.Places, c.Frames = 1+r.IntN(40), r.IntN(2)*r.IntN(100), r.IntN(2)*r.IntN(40), r.IntN(2)*r.IntN(9)
	case 2:
		c.Push, c.MaxPush = r.IntN(80)-40, 200
		if c.Act != nil {
			c.Act = resizing{chance(seed)}
		}
	}
	return card.NewPipe(c, in, out)
}

// drawCard is the stages of this package that have native forms in a row, among
// registers and FIFOs, behind and before ends of all kinds.
func drawCard(seed uint64) *sim.Net {
	r := rand.New(rand.NewPCG(seed, 0))
	n := &sim.Net{}
	width := 8 << r.IntN(4)
	gbps := []int{10, 25, 100}[r.IntN(3)]
	d := n.Clock("clk", 3000+sim.Picos(r.IntN(4000)), sim.Picos(r.IntN(4000)))
	in := n.Wire("w0", d, width)
	var frames sim.Frames
	var at sim.Picos
	gap, pause, longest := r.IntN(2)*r.IntN(30), r.IntN(2)*r.IntN(400_000), 1+r.IntN(1500)
	for id := range uint32(r.IntN(60)) {
		at += sim.Picos(r.IntN(pause + 1))
		frames = append(frames, sim.Frame{ID: id + 1, Bytes: 1 + r.IntN(longest), Dest: uint8(r.IntN(4)), Bad: r.IntN(8) == 0, At: at, Gap: sim.Cycle(r.IntN(gap + 1))})
	}
	n.Add("source", &sim.Source{Out: in, Feed: &frames})
	for i := range 1 + r.IntN(6) {
		out := n.Wire(fmt.Sprintf("w%d", i+1), d, width)
		var s sim.Stage
		switch r.IntN(9) {
		case 0:
			s = card.NewMACRx(gbps, float64(r.IntN(60)), width*(1+r.IntN(40)), in, out)
		case 1:
			s = card.NewMACTx(gbps, float64(r.IntN(60)), in, out)
		case 2:
			s = axis.NewSkid(in, out)
		case 3:
			s = axis.NewFIFO(axis.FIFOConfig{Depth: width << (1 + r.IntN(6)), Pipeline: r.IntN(3), Frame: r.IntN(2) == 0}, in, out)
		case 4:
			s = drawRewriter(r, seed, in, out)
		default:
			s = drawPipe(r, seed, in, out)
		}
		n.Add("to "+out.Name, s)
		in = out
	}
	pattern, from := "none", 0
	if r.IntN(2) == 0 {
		pattern, from = sim.Patterns[r.IntN(len(sim.Patterns))], r.IntN(200)
	}
	p, err := sim.NewPattern(pattern)
	if err != nil {
		panic(err)
	}
	n.Add("sink", &sim.Sink{In: in, Pattern: p, From: sim.Cycle(from)})
	return n
}

func TestNativeForms(t *testing.T) {
	for name, native := range map[string]func(stage int) bool{
		"all":    nil,
		"odd":    func(i int) bool { return i%2 == 1 },
		"behind": func(i int) bool { return i > 2 },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2000) {
				diff, err := datapathtest.EnginesDiffer(func() *sim.Net { return drawCard(seed) }, 1e9, native)
				require.NoError(t, err)
				require.Empty(t, diff, "seed %d", seed)
			}
		})
	}
}
