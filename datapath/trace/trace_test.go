package trace_test

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// everything runs a network under every writer and returns what they wrote and
// the digest of what happened.
func everything(t testing.TB, r rig) (files map[string][]byte, sum string) {
	var vcd, perfetto, pcapng, json, csv, falls, table, svg, doc bytes.Buffer
	v := trace.NewVCD(&vcd, r.net, r.data)
	p := trace.NewPerfetto(&perfetto, r.net, "run")
	c := trace.NewPcapng(&pcapng, r.net, trace.PcapngConfig{Data: r.data})
	seeJSON, endJSON := trace.FramesJSON(&json)
	seeCSV, endCSV := trace.FramesCSV(&csv)
	f := trace.NewFrames(r.net, func(f *trace.Frame) { seeJSON(f); seeCSV(f) })
	seeFall, endFalls := trace.FallsJSON(&falls)
	w := trace.NewWaterfall(r.net, trace.WaterfallConfig{See: seeFall})
	d := newDigest()
	r.tick(t, v, p, c, f, w, &trace.Recorder{Limit: 100}, d)
	f.Close()
	w.Close()
	for _, err := range []error{v.Close(), p.Close(), c.Close(), endJSON(), endCSV(), endFalls(),
		w.Result().Table(&table), w.Result().SVG(&svg), w.Result().JSON(&doc)} {
		require.NoError(t, err)
	}
	return map[string][]byte{"vcd": vcd.Bytes(), "perfetto": perfetto.Bytes(), "pcapng": pcapng.Bytes(), "frames.json": json.Bytes(),
		"frames.csv": csv.Bytes(), "falls": falls.Bytes(), "table": table.Bytes(), "svg": svg.Bytes(), "waterfall": doc.Bytes()}, d.String()
}

func TestWritersChangeNothingAndAreDeterministic(t *testing.T) {
	for name, build := range map[string]func(testing.TB, int) rig{"full": full, "fork": fork} {
		t.Run(name, func(t *testing.T) {
			bare := newDigest()
			build(t, 80).tick(t, bare)
			first, sum := everything(t, build(t, 80))
			require.Equal(t, bare.String(), sum)
			again, _ := everything(t, build(t, 80))
			for k := range first {
				require.NotEmpty(t, first[k], k)
				require.True(t, bytes.Equal(first[k], again[k]), k)
			}
		})
	}
}

// events runs a network and keeps everything.
func events(t testing.TB, r rig) []trace.Event {
	rec := &trace.Recorder{}
	r.tick(t, rec)
	return slices.Collect(rec.All())
}

func TestRecorderReplaysInOrder(t *testing.T) {
	rec, want, got := &trace.Recorder{}, newDigest(), newDigest()
	r := full(t, 40)
	r.tick(t, rec, want)
	rec.Replay(got)
	require.Equal(t, want.String(), got.String())

	// Wires one after the other, drops first: the worst that an engine gives.
	r = full(t, 40)
	all, mixed := events(t, r), &trace.Recorder{}
	slices.SortStableFunc(all, func(a, b trace.Event) int {
		if a.Kind == trace.Drop || b.Kind == trace.Drop {
			return cmp.Compare(b.Kind/trace.Drop, a.Kind/trace.Drop)
		}
		return cmp.Compare(b.Wire.Index(), a.Wire.Index())
	})
	for _, e := range all {
		switch e.Kind {
		case trace.Offer:
			mixed.Offered(e.Wire, e.Cycle, e.Beat)
		case trace.Accept:
			mixed.Accepted(e.Wire, e.Cycle, e.Beat)
		default:
			mixed.Dropped(e.Stage, e.Time, e.Frame, e.Why)
		}
	}
	got = newDigest()
	mixed.Replay(got)
	require.Equal(t, want.String(), got.String())
}

func TestRecorderForgetsTheOldest(t *testing.T) {
	all := events(t, full(t, 20))
	rec := &trace.Recorder{Limit: 10}
	full(t, 20).tick(t, rec)
	require.Equal(t, uint64(len(all)-10), rec.Forgotten())
	kept := slices.Collect(rec.All())
	require.Len(t, kept, 10)
	for i, e := range kept {
		want := all[len(all)-10+i]
		require.Equal(t, [3]any{want.Kind, want.Time, want.Beat}, [3]any{e.Kind, e.Time, e.Beat})
	}
}

func TestWindow(t *testing.T) {
	rec := &trace.Recorder{}
	const from, to = 100_000, 400_000
	full(t, 40).tick(t, &trace.Window{From: from, To: to, See: rec})
	var want int
	for _, e := range events(t, full(t, 40)) {
		if e.Time >= from && e.Time < to {
			want++
		}
	}
	require.Positive(t, want)
	require.Len(t, slices.Collect(rec.All()), want)
	for e := range rec.All() {
		require.True(t, e.Time >= from && e.Time < to)
	}
}

// A trace of a part of a run is whole in itself: no writer may choke on frames
// that it does not see the beginning of.
func TestWritersTakeAPartOfARun(t *testing.T) {
	r := full(t, 80)
	var buf bytes.Buffer
	v, p := trace.NewVCD(&buf, r.net, nil), trace.NewPerfetto(io.Discard, r.net, "part")
	c, w := trace.NewPcapng(io.Discard, r.net, trace.PcapngConfig{}), trace.NewWaterfall(r.net, trace.WaterfallConfig{})
	partial := 0
	f := trace.NewFrames(r.net, func(f *trace.Frame) {
		if f.Partial {
			partial++
		}
	})
	r.tick(t, &trace.Window{From: 61_000, To: 700_000, See: trace.Tee(v, p, c, w, f)})
	require.NoError(t, errors.Join(v.Close(), p.Close(), c.Close()))
	w.Close()
	f.Close()
	require.Positive(t, partial)
	require.EqualValues(t, partial, w.Result().Partial)
	readVCD(t, buf.Bytes())
}

type full0 struct{}

func (full0) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWritersReportAFullDisk(t *testing.T) {
	r := full(t, 80)
	v, p, c := trace.NewVCD(full0{}, r.net, nil), trace.NewPerfetto(full0{}, r.net, "x"), trace.NewPcapng(full0{}, r.net, trace.PcapngConfig{})
	see, end := trace.FramesJSON(full0{})
	seeCSV, endCSV := trace.FramesCSV(full0{})
	seeFall, endFall := trace.FallsJSON(full0{})
	f := trace.NewFrames(r.net, func(x *trace.Frame) { see(x); seeCSV(x) })
	w := trace.NewWaterfall(r.net, trace.WaterfallConfig{See: seeFall})
	r.tick(t, v, p, c, f, w)
	for _, err := range []error{v.Close(), p.Close(), c.Close(), end(), endCSV(), endFall(), w.Result().SVG(full0{}), w.Result().Table(full0{}), w.Result().JSON(full0{})} {
		require.ErrorIs(t, err, io.ErrShortWrite)
	}
}

func TestTeeOfNoneIsNone(t *testing.T) {
	require.Nil(t, trace.Tee(nil, nil))
	d := newDigest()
	require.Equal(t, sim.Observer(d), trace.Tee(nil, d))
}
