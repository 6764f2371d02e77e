package trace_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

func TestFrameRows(t *testing.T) {
	r := full(t, 80)
	var js, cs bytes.Buffer
	seeJSON, endJSON := trace.FramesJSON(&js)
	seeCSV, endCSV := trace.FramesCSV(&cs)
	f, rec := trace.NewFrames(r.net, func(f *trace.Frame) { seeJSON(f); seeCSV(f) }), &trace.Recorder{}
	r.tick(t, f, rec)
	f.Close()
	require.NoError(t, endJSON())
	require.NoError(t, endCSV())

	type fate struct {
		in, firstIn, out sim.Picos
		why              sim.Loss
		at               sim.Picos
	}
	want := map[uint32]*fate{}
	for e := range rec.All() {
		switch {
		case e.Kind == trace.Offer && e.Wire.Name == "rx" && e.Beat.First:
			want[e.Frame] = &fate{in: e.Time}
		case e.Kind == trace.Accept && e.Wire.Name == "rx" && e.Beat.First:
			want[e.Frame].firstIn = e.Time
		case e.Kind == trace.Accept && e.Wire.Name == "cross.out" && e.Beat.Last:
			want[e.Frame].out = e.Time
		case e.Kind == trace.Drop:
			want[e.Frame].why, want[e.Frame].at = e.Why, e.Time
		}
	}
	lines := strings.Split(strings.TrimSpace(js.String()), "\n")
	require.JSONEq(t, `{"schema":"meshnic.frames/1"}`, lines[0])
	table, err := csv.NewReader(&cs).ReadAll()
	require.NoError(t, err)
	require.Len(t, table, len(lines))
	require.Len(t, lines, len(want)+1)
	for i, l := range lines[1:] {
		var row map[string]any
		dec := json.NewDecoder(strings.NewReader(l))
		dec.UseNumber()
		require.NoError(t, dec.Decode(&row))
		id, err := strconv.Atoi(row["id"].(json.Number).String())
		require.NoError(t, err)
		w := want[uint32(id)]
		require.Equal(t, json.Number(trace.Nanos(w.in).String()), row["offered_ns"])
		require.Equal(t, json.Number(trace.Nanos(w.firstIn).String()), row["in_ns"])
		require.Equal(t, json.Number(strconv.Itoa(r.frames[id-1].Bytes)), row["bytes"])
		if w.why != sim.LossNone {
			require.Equal(t, []any{w.why.String(), "queue", json.Number(trace.Nanos(w.at).String())}, []any{row["drop"], row["drop_stage"], row["drop_ns"]})
			require.NotContains(t, row, "out_ns")
		} else {
			require.Equal(t, json.Number(trace.Nanos(w.out).String()), row["out_ns"])
			require.Equal(t, json.Number(trace.Nanos(w.out-w.firstIn).String()), row["last_latency_ns"])
			require.NotContains(t, row, "last_latency_cycles", "in and out have different clocks")
		}
		for k, name := range table[0] {
			got := table[i+1][k]
			switch v := row[name].(type) {
			case json.Number:
				require.Equal(t, v.String(), got, name)
			case string:
				require.Equal(t, v, got, name)
			case bool:
				require.Equal(t, strconv.FormatBool(v), got, name)
			case nil:
				require.Contains(t, []string{"", "false"}, got, name)
			}
		}
	}
}

// The reference's own figures: a register has a first latency of 1.
func TestFrameLatenciesInCycles(t *testing.T) {
	r := row(t, []sim.Frame{{ID: 7, Bytes: 64}}, "none", skid("a"), skid("b"))
	var got []trace.Frame
	f := trace.NewFrames(r.net, func(f *trace.Frame) {
		require.EqualValues(t, 2, *f.FirstCycles)
		require.EqualValues(t, 9, *f.LastCycles)
		require.EqualValues(t, 36_000, *f.LastNs)
		got = append(got, *f)
	})
	r.tick(t, f)
	f.Close()
	require.Len(t, got, 1)
	require.Equal(t, []any{uint32(7), "src", "sink"}, []any{got[0].ID, got[0].In, got[0].Out})
}

func TestFramesUnderWay(t *testing.T) {
	r := row(t, traffic(4, 0), "frozen", skid("s"))
	var ids []uint32
	f := trace.NewFrames(r.net, func(f *trace.Frame) {
		require.True(t, f.UnderWay)
		ids = append(ids, f.ID)
	})
	e, err := sim.NewTicker(r.net, f)
	require.NoError(t, err)
	e.Run(1e6)
	f.Close()
	require.Equal(t, []uint32{1}, ids)
}

// A frame that is copied is one row: it is out when its last copy is.
func TestFramesThatAreCopied(t *testing.T) {
	r := fork(t, 5000)
	n := uint32(0)
	f := trace.NewFrames(r.net, func(f *trace.Frame) {
		n++
		require.Equal(t, n, f.ID)
		require.Equal(t, "right", f.Out)
		require.False(t, f.Partial)
	})
	r.tick(t, f)
	f.Close()
	require.EqualValues(t, 5000, n)
}

// What both engines say of frames is the same, although the fast one tells
// wires apart from each other.
func TestFramesUnderBothEngines(t *testing.T) {
	for name, build := range map[string]func(testing.TB, int) rig{"full": full, "fork": fork} {
		t.Run(name, func(t *testing.T) {
			run := func(engine func(*sim.Net, sim.Observer) error) (rows, parts []string, table string) {
				r := build(t, 300)
				see := func(v any, to *[]string) {
					b, err := json.Marshal(v)
					require.NoError(t, err)
					*to = append(*to, string(b))
				}
				f := trace.NewFrames(r.net, func(f *trace.Frame) { see(f, &rows) })
				w := trace.NewWaterfall(r.net, trace.WaterfallConfig{See: func(f *trace.Fall) { see(f.JSON(), &parts) }})
				require.NoError(t, engine(r.net, trace.Tee(f, w)))
				f.Close()
				w.Close()
				var buf bytes.Buffer
				require.NoError(t, w.Result().JSON(&buf))
				slices.Sort(rows)
				slices.Sort(parts)
				return rows, parts, buf.String()
			}
			rows, parts, table := run(func(n *sim.Net, see sim.Observer) error {
				e, err := sim.NewTicker(n, see)
				if err == nil {
					e.Run(1e12)
				}
				return err
			})
			rows2, parts2, table2 := run(func(n *sim.Net, see sim.Observer) error {
				e, err := sim.NewMaxPlus(n, see)
				if err == nil {
					e.Run(1e12)
				}
				return err
			})
			require.Equal(t, rows, rows2)
			require.Equal(t, parts, parts2)
			require.Equal(t, table, table2)
		})
	}
}

// endless is a feed of n frames that holds none.
type endless struct{ n, i int }

func (e *endless) Next() (sim.Frame, bool) {
	if e.i++; e.i > e.n {
		return sim.Frame{}, false
	}
	return sim.Frame{ID: uint32(e.i), Bytes: 64}, true
}

// long runs n frames of 64 bytes through eight registers of 512 bits.
func long(t testing.TB, n int, see func(*sim.Net) sim.Observer) {
	net := &sim.Net{}
	d := net.Clock("core", 4000, 0)
	w := net.Wire("rx", d, 64)
	net.Add("src", &sim.Source{Out: w, Feed: &endless{n: n}})
	for range 8 {
		w = skid("s"+strconv.Itoa(len(net.Stages)))(net, w)
	}
	p, err := sim.NewPattern("none")
	require.NoError(t, err)
	net.Add("sink", &sim.Sink{In: w, Pattern: p})
	e, err := sim.NewMaxPlus(net, see(net))
	require.NoError(t, err)
	e.Run(sim.Never - 1)
}

// What is held does not grow with the run.
func TestFramesAndWaterfallStream(t *testing.T) {
	held := func(n int) uint64 {
		var f *trace.Frames
		var w *trace.Waterfall
		long(t, n, func(net *sim.Net) sim.Observer {
			f = trace.NewFrames(net, func(*trace.Frame) {})
			w = trace.NewWaterfall(net, trace.WaterfallConfig{})
			return trace.Tee(f, w)
		})
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		f.Close()
		w.Close()
		require.EqualValues(t, n, w.Result().Frames)
		return m.HeapAlloc
	}
	few, many := held(1000), held(100_000)
	require.Less(t, many, few+1<<20)
}

func BenchmarkSummary(b *testing.B) {
	for name, make := range map[string]func(*sim.Net) sim.Observer{
		"frames":    func(n *sim.Net) sim.Observer { return trace.NewFrames(n, func(*trace.Frame) {}) },
		"waterfall": func(n *sim.Net) sim.Observer { return trace.NewWaterfall(n, trace.WaterfallConfig{}) },
		"none":      func(*sim.Net) sim.Observer { return nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			const frames = 100_000
			for b.Loop() {
				long(b, frames, make)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/frames, "ns/frame")
		})
	}
}

// What is written of a time is read again to the picosecond.
func TestNanosAsJSON(t *testing.T) {
	for _, want := range []trace.Nanos{0, 1, -1, 999, 1000, -1500, 123456789, -1 << 62, 1<<63 - 1} {
		b, err := want.MarshalJSON()
		require.NoError(t, err)
		var got trace.Nanos
		require.NoError(t, got.UnmarshalJSON(b))
		require.Equal(t, want, got, "%s", b)
	}
	for _, bad := range []string{"", "x", "1.2345", "1e3", `"1"`, "1.x"} {
		var n trace.Nanos
		require.Error(t, n.UnmarshalJSON([]byte(bad)), bad)
	}
}
