package card_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
)

// texts are what is written, by the frames' numbers.
type texts map[uint32]card.Text

func (t texts) Text(frame uint32) (card.Text, bool) {
	x, ok := t[frame]
	return x, ok
}

// own is frames from number 1000·frame on.
func own(frame uint32, bytes ...int) (all []sim.Frame) {
	for i, n := range bytes {
		all = append(all, sim.Frame{ID: 1000*frame + uint32(i), Bytes: n, Dest: 3})
	}
	return all
}

func rewriter(rate int, by texts) func(in, out *sim.Wire) sim.Stage {
	return func(in, out *sim.Wire) sim.Stage {
		return card.NewRewriter(card.RewriterConfig{Latency: 3, Rate: rate, MaxGrow: 1 << 15, By: by}, in, out)
	}
}

// Cycles of the first and the last beat out, from that of the frame's first in, at 64
// bytes a beat.
func TestRewriterCycles(t *testing.T) {
	for _, tt := range []struct {
		name        string
		rate, bytes int
		text        card.Text
		first, last int // of all that leaves
		beats       int
	}{
		{"nothing is new", 16, 1514, card.Text{}, 3, 3 + 23, 24},
		{"a head at 16 bytes a cycle", 16, 200, card.Text{Written: 128}, 3 + 3, 3 + 9, 4},
		{"a head at a beat a cycle", 64, 200, card.Text{Written: 200}, 3, 3 + 3, 4},
		{"a head that grows makes a beat more", 64, 190, card.Text{Written: 100, Grow: 10}, 3, 3 + 3, 4},
		{"the same without", 64, 190, card.Text{Written: 100}, 3, 3 + 2, 3},
		{"a head that shrinks", 64, 200, card.Text{Written: 50, Grow: -100}, 3 + 2, 3 + 3, 2},
		{"an answer in its place", 16, 74, card.Text{Own: own(1, 74), Consume: true}, 3 + 3, 3 + 4, 2},
		{"an own frame before it", 16, 64, card.Text{Own: own(1, 64)}, 3 + 3, 3 + 4, 2},
		{"two of them", 64, 64, card.Text{Own: own(1, 66, 66), Consume: true}, 3, 3 + 3, 4},
		{"consumed", 16, 400, card.Text{Consume: true}, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := bench{mhz: 250, bits: 512, frames: train(1, tt.bytes, 0), stage: rewriter(tt.rate, texts{1: tt.text})}.run(t)
			out := r.on("out")
			require.Len(t, out, tt.beats)
			if tt.beats > 0 {
				came := r.on("in")[0].at
				require.Equal(t, came+sim.Cycle(tt.first), out[0].at, "first")
				require.Equal(t, came+sim.Cycle(tt.last), out[len(out)-1].at, "last")
			}
			if tt.text.Consume {
				require.Equal(t, map[uint32]sim.Loss{1: sim.LossVerdict}, r.drops)
			}
		})
	}
}

// Frames whose heads stay as they are leave a beat a cycle, one behind the other.
func TestRewriterKeepsTheLineBusy(t *testing.T) {
	r, _ := bench{mhz: 250, bits: 512, frames: train(200, 100, 0), stage: rewriter(16, texts{})}.run(t)
	out := r.on("out")
	require.Len(t, out, 400)
	require.Equal(t, out[0].at+399, out[399].at)
}

// Whatever is written, every frame leaves whole, behind its own frames, and the engines
// agree in every cycle.
func TestRewriterRandom(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		frames, by := mixed(40, 900), texts{}
		var want []sim.Frame
		for i := range frames {
			f := frames[i]
			x := card.Text{Written: r.IntN(300), Grow: r.IntN(300) - 100, Consume: r.IntN(4) == 0}
			for range r.IntN(8) / 5 {
				x.Own = append(x.Own, own(f.ID, 54+r.IntN(900), 54)...)
			}
			if r.IntN(5) > 0 {
				by[f.ID] = x
			} else {
				x = card.Text{}
			}
			want = append(want, x.Own...)
			if f.Bytes = max(1, f.Bytes+x.Grow); !x.Consume {
				want = append(want, f)
			}
		}
		b := bench{mhz: 250, bits: 64 << r.IntN(4), frames: frames, stage: rewriter(1+r.IntN(80), by), pattern: sim.Patterns[seed%uint64(len(sim.Patterns)-1)]}
		if b.pattern == "frozen" {
			continue
		}
		rec, _ := b.run(t)
		var got []sim.Frame
		sum := 0
		for _, m := range rec.on("out") {
			if sum += int(m.beat.Bytes); m.beat.Last {
				got = append(got, sim.Frame{ID: m.beat.Frame, Bytes: sum, Dest: m.beat.Dest, Bad: m.beat.Bad})
				sum = 0
			}
		}
		for i := range want {
			want[i].Gap = 0
		}
		require.Equal(t, want, got, "seed %d", seed)
		b.shuffle = seed + 1
		again, _ := b.run(t)
		require.Equal(t, rec, again, "seed %d: other order of stages", seed)
		diff, err := datapathtest.EnginesDiffer(func() *sim.Net { n, _ := b.net(t); return n }, second, nil)
		require.NoError(t, err)
		require.Empty(t, diff, "seed %d", seed)
	}
}
