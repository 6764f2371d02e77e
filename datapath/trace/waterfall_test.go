package trace_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// falls runs a network and returns the waterfall of each frame, by its number.
func falls(t testing.TB, r rig, cfg trace.WaterfallConfig) (map[uint32]trace.Fall, *trace.WaterfallResult) {
	all := map[uint32]trace.Fall{}
	cfg.See = func(f *trace.Fall) {
		require.NotContains(t, all, f.Frame)
		c := *f
		c.Shares = slices.Clone(f.Shares)
		all[f.Frame] = c
	}
	w := trace.NewWaterfall(r.net, cfg)
	r.tick(t, w)
	w.Close()
	return all, w.Result()
}

// shares is a Fall's stages as cycles of 4 ns: pass, queue, store and forward,
// blocked.
func shares(f trace.Fall) map[string][4]sim.Picos {
	m := map[string][4]sim.Picos{}
	for _, s := range f.Shares {
		m[s.Stage] = [4]sim.Picos{s.Pass / 4000, s.Queue / 4000, s.StoreForward / 4000, s.Blocked / 4000}
	}
	return m
}

func TestWaterfallTellsTheParts(t *testing.T) {
	store := axis.FIFOConfig{Depth: 1024, Pipeline: 1, Frame: true, DropOversize: true}
	one, two := []sim.Frame{{ID: 1, Bytes: 64}}, []sim.Frame{{ID: 1, Bytes: 64}, {ID: 2, Bytes: 64}}
	for _, tt := range []struct {
		name   string
		rig    rig
		frame  uint32
		shares map[string][4]sim.Picos
		total  sim.Picos // cycles
	}{
		{"a register: one cycle", row(t, one, "none", skid("s")), 1,
			map[string][4]sim.Picos{"src": {7}, "s": {1}}, 8},
		{"two registers: each its own", row(t, one, "none", skid("s"), skid("u")), 1,
			map[string][4]sim.Picos{"src": {7}, "s": {1}, "u": {1}}, 9},
		{"at half rate the beats wait in front of it", row(t, one, "none", slice("s")), 1,
			map[string][4]sim.Picos{"src": {7, 0, 0, 7}, "s": {1}}, 15},
		{"a FIFO that stores the frame sends it again", row(t, one, "none", fifo("f", store)), 1,
			map[string][4]sim.Picos{"src": {7}, "f": {3, 0, 7}}, 17},
		{"behind another frame it queues", row(t, two, "alt50", fifo("f", store)), 2,
			map[string][4]sim.Picos{"src": {7}, "f": {1, 9, 7, 8}}, 32},
		{"a sink that is ready every second cycle", row(t, one, "alt50", skid("s")), 1,
			map[string][4]sim.Picos{"src": {7, 0, 0, 6}, "s": {1, 0, 0, 2}}, 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, r := falls(t, tt.rig, trace.WaterfallConfig{})
			f := all[tt.frame]
			if tt.shares != nil {
				require.Equal(t, tt.shares, shares(f))
			}
			require.Equal(t, tt.total*4000, f.Total())
			require.Zero(t, f.Remainder)
			require.EqualValues(t, len(tt.rig.frames), r.Frames)
		})
	}
}

func TestWaterfallAddsUp(t *testing.T) {
	for name, build := range map[string]func(testing.TB, int) rig{"full": full, "fork": fork} {
		t.Run(name, func(t *testing.T) {
			r := build(t, 200)
			all, out := falls(t, r, trace.WaterfallConfig{})
			require.Len(t, all, len(r.frames))
			var total, rest, pass sim.Picos
			dropped := uint64(0)
			for _, f := range all {
				sum := f.Remainder
				for _, s := range f.Shares {
					sum += s.Total()
					for _, part := range []sim.Picos{s.Pass, s.Queue, s.StoreForward, s.Blocked} {
						require.GreaterOrEqual(t, part, sim.Picos(0), "frame %d in %s", f.Frame, s.Stage)
					}
				}
				require.Equal(t, f.Total(), sum)
				if f.Why != sim.LossNone {
					dropped++
					require.Equal(t, "queue", f.DropStage)
					require.Equal(t, "skid", f.Shares[len(f.Shares)-1].Stage, "the last stage that it left")
					continue
				}
				require.Zero(t, f.Remainder)
				total += f.Total()
				rest += f.Remainder
				for _, s := range f.Shares {
					pass += s.Pass
				}
			}
			require.Equal(t, dropped, out.Dropped)
			require.Equal(t, name == "full", dropped > 0)
			require.EqualValues(t, len(all)-int(dropped), out.Frames)
			require.EqualValues(t, total, out.Total.SumNs)
			sum, passes := rest, trace.Nanos(0)
			for _, s := range out.Stages {
				sum += sim.Picos(s.SumNs)
				passes += s.PassSumNs
				require.Equal(t, s.SumNs, s.PassSumNs+s.QueueSumNs+s.StoreForwardSumNs+s.BlockedSumNs)
			}
			require.Equal(t, total, sum)
			require.EqualValues(t, pass, passes)
		})
	}
}

func TestWaterfallQuantiles(t *testing.T) {
	r := full(t, 400)
	all, out := falls(t, r, trace.WaterfallConfig{})
	var totals []trace.Nanos
	for _, f := range all {
		if f.Why == sim.LossNone {
			totals = append(totals, trace.Nanos(f.Total()))
		}
	}
	slices.Sort(totals)
	rank := func(q float64) trace.Nanos {
		i := int(q * float64(len(totals)))
		if float64(i) == q*float64(len(totals)) {
			i--
		}
		return totals[i]
	}
	require.Equal(t, []trace.Nanos{rank(.5), rank(.99), totals[len(totals)-1]}, []trace.Nanos{out.Total.P50Ns, out.Total.P99Ns, out.Total.MaxNs})
	for i, want := range []trace.Nanos{out.Total.P50Ns, out.Total.P99Ns, out.Total.MaxNs} {
		s := out.Samples[i]
		require.Equal(t, []string{"p50", "p99", "max"}[i], s.Quantile)
		require.Equal(t, want, s.TotalNs)
		f := all[s.ID]
		require.Equal(t, f.JSON(), s.FallJSON)
	}
}

func TestWaterfallTakesStagesTogether(t *testing.T) {
	name := func(i int) string { return []string{"src", "pair", "pair", "sink"}[i] }
	all, out := falls(t, row(t, traffic(6, 0), "none", skid("a"), skid("b")), trace.WaterfallConfig{Name: name})
	require.Len(t, out.Stages, 2)
	require.Equal(t, "pair", out.Stages[1].Stage)
	require.EqualValues(t, 6*2*4000, out.Stages[1].SumNs)
	require.Len(t, all[1].Shares, 2)
}

func TestWaterfallOutputs(t *testing.T) {
	_, out := falls(t, full(t, 100), trace.WaterfallConfig{})
	var doc, table, svg bytes.Buffer
	require.NoError(t, errors.Join(out.JSON(&doc), out.Table(&table), out.SVG(&svg)))

	var back map[string]any
	require.NoError(t, json.Unmarshal(doc.Bytes(), &back))
	require.Equal(t, trace.WaterfallSchema, back["schema"])
	require.InDelta(t, float64(out.Total.P99Ns)/1000, back["total"].(map[string]any)["p99_ns"], 1e-9)
	require.Equal(t, "src", back["stages"].([]any)[0].(map[string]any)["stage"])

	lines := strings.Split(table.String(), "\n")
	require.Equal(t, strings.Fields(lines[0])[:6], []string{"stage", "frames", "p50_ns", "p99_ns", "max_ns", "mean_ns"})
	require.Equal(t, []string{"src", "skid", "queue", "slice", "cross", "remainder", "total"}, first(lines[1:8]))
	require.Contains(t, lines[8], "dropped")

	dec := xml.NewDecoder(bytes.NewReader(svg.Bytes()))
	rects := 0
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "rect" {
			rects++
		}
	}
	require.Greater(t, rects, 3*4)
	require.Contains(t, svg.String(), "p99 of total_ns")
}

func first(lines []string) (words []string) {
	for _, l := range lines {
		words = append(words, strings.Fields(l)[0])
	}
	return words
}

func TestWaterfallOfNothing(t *testing.T) {
	r := row(t, nil, "none", skid("s"))
	_, out := falls(t, r, trace.WaterfallConfig{})
	require.NoError(t, errors.Join(out.JSON(io.Discard), out.Table(io.Discard), out.SVG(io.Discard)))
	require.Empty(t, out.Samples)
}

func TestWaterfallCountsWhatIsUnderWay(t *testing.T) {
	r := row(t, traffic(3, 0), "frozen", skid("s"))
	w := trace.NewWaterfall(r.net, trace.WaterfallConfig{})
	e, err := sim.NewTicker(r.net, w)
	require.NoError(t, err)
	e.Run(1e6)
	w.Close()
	require.EqualValues(t, 1, w.Result().UnderWay)
	require.Zero(t, w.Result().Frames)
}
