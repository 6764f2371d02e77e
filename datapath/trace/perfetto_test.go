package trace_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// message is a protobuf message by field numbers.
type message map[protowire.Number][]any // uint64 or []byte

func parse(t testing.TB, b []byte) message {
	m := message{}
	for len(b) > 0 {
		n, kind, used := protowire.ConsumeTag(b)
		require.Positive(t, used)
		b = b[used:]
		var v any
		switch kind {
		case protowire.VarintType:
			v, used = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v, used = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			v, used = protowire.ConsumeBytes(b)
		default:
			t.Fatalf("wire type %d", kind)
		}
		require.Positive(t, used)
		m[n] = append(m[n], v)
		b = b[used:]
	}
	return m
}

func (m message) num(n protowire.Number) uint64 {
	if len(m[n]) == 0 {
		return 0
	}
	return m[n][0].(uint64)
}

func (m message) str(n protowire.Number) string {
	if len(m[n]) == 0 {
		return ""
	}
	return string(m[n][0].([]byte))
}

func (m message) msgs(t testing.TB, n protowire.Number) (all []message) {
	for _, v := range m[n] {
		all = append(all, parse(t, v.([]byte)))
	}
	return all
}

// timeline is a trace as a reader sees it.
type timeline struct {
	tracks map[uint64]track
	events []event
}

type track struct {
	name    string
	parent  uint64
	counter bool
}

type event struct {
	kind, track, ns uint64
	name            string
	args            map[string]any // uint64 or string
	flow            []any
	ends            bool // the flow ends here
	value           uint64
}

// path is a track's name with those above it.
func (l *timeline) path(id uint64) string {
	t := l.tracks[id]
	if t.parent == 0 {
		return t.name
	}
	return l.path(t.parent) + "/" + t.name
}

func readPerfetto(t testing.TB, file []byte) *timeline {
	t.Helper()
	l := &timeline{tracks: map[uint64]track{}}
	names := map[protowire.Number]map[uint64]string{2: {}, 3: {}, 29: {}}
	open := map[uint64][]uint64{} // by track, times of slices
	for i, p := range parse(t, file).msgs(t, 1) {
		require.EqualValues(t, 1, p.num(10), "sequence")
		require.Equal(t, i == 0, p.num(87) == 1, "first packet")
		require.EqualValues(t, map[bool]int{true: 1, false: 2}[i == 0], p.num(13))
		for kind, m := range names {
			for _, in := range p.msgs(t, 12) {
				for _, e := range in.msgs(t, kind) {
					require.NotContains(t, m, e.num(1), "interned twice")
					m[e.num(1)] = e.str(2)
				}
			}
		}
		for _, d := range p.msgs(t, 60) {
			require.NotContains(t, l.tracks, d.num(1))
			if d.num(5) != 0 {
				require.Contains(t, l.tracks, d.num(5), "a parent comes first")
			}
			l.tracks[d.num(1)] = track{d.str(2), d.num(5), len(d[8]) > 0}
		}
		for _, e := range p.msgs(t, 11) {
			x := event{kind: e.num(9), track: e.num(11), ns: p.num(8), name: e.str(23), args: map[string]any{}, value: e.num(30)}
			require.Contains(t, l.tracks, x.track)
			require.Equal(t, l.tracks[x.track].counter, x.kind == 4)
			if iid := e.num(10); iid != 0 {
				x.name = names[2][iid]
				require.NotEmpty(t, x.name)
			}
			for _, a := range e.msgs(t, 4) {
				k := names[3][a.num(1)]
				require.NotEmpty(t, k)
				switch {
				case len(a[17]) > 0:
					x.args[k] = names[29][a.num(17)]
				case len(a[4]) > 0:
					x.args[k] = a.num(4)
				default:
					x.args[k] = a.num(3)
				}
			}
			if x.flow = e[47]; len(e[48]) > 0 {
				x.flow, x.ends = e[48], true
			}
			switch x.kind {
			case 1:
				require.Empty(t, open[x.track], "slices overlap on %s", l.path(x.track))
				open[x.track] = append(open[x.track], x.ns)
			case 2:
				require.Len(t, open[x.track], 1)
				require.LessOrEqual(t, open[x.track][0], x.ns)
				open[x.track] = nil
			}
			l.events = append(l.events, x)
		}
	}
	for id := range open {
		require.Empty(t, open[id])
	}
	return l
}

func TestPerfettoShowsEveryFrameOnEveryWire(t *testing.T) {
	r := full(t, 80)
	var buf bytes.Buffer
	p, rec := trace.NewPerfetto(&buf, r.net, "full"), &trace.Recorder{}
	r.tick(t, p, rec)
	require.NoError(t, p.Close())
	l := readPerfetto(t, buf.Bytes())
	type slice struct{ begin, end, waited, beats sim.Cycle }
	type key struct {
		wire  string
		frame uint32
	}
	want, offered, drops := map[key]*slice{}, map[*sim.Wire]sim.Cycle{}, 0
	for e := range rec.All() {
		if e.Kind == trace.Drop {
			drops++
			continue
		}
		k := key{e.Wire.Name, e.Frame}
		if e.Kind == trace.Offer {
			if e.Beat.First {
				want[k] = &slice{begin: e.Cycle}
			}
			offered[e.Wire] = e.Cycle
			continue
		}
		want[k].end = e.Cycle
		want[k].waited += e.Cycle - offered[e.Wire]
		want[k].beats++
	}
	parents := map[string]string{"rx": "full/src/rx", "skid.out": "full/skid/skid.out", "queue.out": "full/queue/queue.out",
		"slice.out": "full/slice/slice.out", "cross.out": "full/cross/cross.out"}
	wires := map[string]*sim.Wire{}
	for _, w := range r.net.Wires {
		wires[parents[w.Name]] = w
	}
	slices, ended := 0, map[any]bool{}
	for i, e := range l.events {
		if e.kind == 3 {
			drops--
			require.Equal(t, "full/queue", l.path(e.track))
			require.Equal(t, "drop "+e.args["reason"].(string), e.name)
			require.Equal(t, e.args["at_ps"].(uint64)/1000, e.ns)
			require.True(t, e.ends)
			ended[e.flow[0]] = true
		}
		if e.kind != 1 {
			continue
		}
		slices++
		w := wires[l.path(e.track)]
		require.NotNil(t, w, l.path(e.track))
		id := uint32(e.args["id"].(uint64))
		s := want[key{w.Name, id}]
		require.NotNil(t, s)
		require.Equal(t, []any{uint64(id)}, e.flow)
		require.Equal(t, []any{uint64(s.begin), uint64(s.end), uint64(s.waited), uint64(s.beats), uint64(r.frames[id-1].Bytes)},
			[]any{e.args["begin_cycle"], e.args["end_cycle"], e.args["waited_cycles"], e.args["beats"], e.args["bytes"]})
		require.Equal(t, uint64(w.Clock.At(s.begin)), e.args["begin_ps"])
		require.Equal(t, uint64(w.Clock.At(s.end+1)), e.args["end_ps"])
		require.Equal(t, uint64(w.Clock.At(s.begin)/1000), e.ns)
		require.Equal(t, uint64(w.Clock.At(s.end+1)/1000), l.events[i+1].ns)
		require.Equal(t, w.Name == "cross.out", e.ends, "the arrow ends where the frame leaves")
		if e.ends {
			require.NotContains(t, ended, e.flow[0])
			ended[e.flow[0]] = true
		}
	}
	require.Len(t, want, slices)
	require.Zero(t, drops)
	require.Len(t, ended, len(r.frames), "each frame leaves or is dropped")
}

func TestPerfettoCountsLevels(t *testing.T) {
	r := full(t, 80)
	var buf bytes.Buffer
	p, rec := trace.NewPerfetto(&buf, r.net, "full"), &trace.Recorder{}
	r.tick(t, p, rec)
	require.NoError(t, p.Close())
	l := readPerfetto(t, buf.Bytes())

	// The FIFO in frame mode: what stands in it, counted here by frame.
	held, gone := map[uint32]int{}, map[uint32]bool{}
	sum := func() (n uint64) {
		for _, b := range held {
			n += uint64(b)
		}
		return n
	}
	byTime := map[uint64]uint64{0: 0} // a level is shown from the start
	for e := range rec.All() {
		switch {
		case e.Kind == trace.Drop:
			delete(held, e.Frame)
			gone[e.Frame] = true
		case e.Kind == trace.Accept && e.Wire.Name == "skid.out" && !gone[e.Frame]:
			held[e.Frame] += int(e.Beat.Bytes)
		case e.Kind == trace.Accept && e.Wire.Name == "queue.out":
			held[e.Frame] -= int(e.Beat.Bytes)
		default:
			continue
		}
		byTime[uint64(e.Time/1000)] = sum()
	}
	n, last, highest := 0, uint64(0), uint64(0)
	for _, e := range l.events {
		if e.kind != 4 || l.path(e.track) != "full/queue/level_bytes" {
			continue
		}
		n++
		want, ok := byTime[e.ns]
		require.True(t, ok, "nothing moved at %d ns", e.ns)
		require.Equal(t, want, e.value, "at %d ns", e.ns)
		last, highest = e.value, max(highest, e.value)
	}
	require.Greater(t, n, 50)
	require.Zero(t, last, "at the end the FIFO is empty")
	require.LessOrEqual(t, highest, uint64(512+8*8))
	require.Greater(t, highest, uint64(256))
}

func TestPerfettoCutsFramesThatAreUnderWay(t *testing.T) {
	r := row(t, []sim.Frame{{ID: 1, Bytes: 100}}, "frozen", skid("skid"))
	var buf bytes.Buffer
	p := trace.NewPerfetto(&buf, r.net, "x")
	e, err := sim.NewTicker(r.net, p)
	require.NoError(t, err)
	e.Run(1e6)
	require.NoError(t, p.Close())
	l := readPerfetto(t, buf.Bytes())
	cut := 0
	for _, e := range l.events {
		if e.kind == 1 {
			require.EqualValues(t, 1, e.args["cut"])
			require.False(t, e.ends)
			cut++
		}
	}
	require.Equal(t, 2, cut)
}

// perfettoFile writes the timeline of a run into a file.
func perfettoFile(t *testing.T) (file string, l *timeline) {
	r := full(t, 40)
	var buf bytes.Buffer
	p := trace.NewPerfetto(&buf, r.net, "full")
	r.tick(t, p)
	require.NoError(t, p.Close())
	file = filepath.Join(t.TempDir(), "a.perfetto-trace")
	require.NoError(t, os.WriteFile(file, buf.Bytes(), 0o600))
	return file, readPerfetto(t, buf.Bytes())
}

// Perfetto's own reader, where there is one: MESHNIC_TRACE_PROCESSOR is its
// trace_processor_shell.
func TestPerfettoAgainstTraceProcessor(t *testing.T) {
	shell := os.Getenv("MESHNIC_TRACE_PROCESSOR")
	if shell == "" {
		t.Skip("MESHNIC_TRACE_PROCESSOR does not name a trace_processor_shell")
	}
	file, l := perfettoFile(t)
	var slices, instants, counters, flows int
	seen := map[any]bool{}
	for _, e := range l.events {
		switch e.kind {
		case 1:
			slices++
		case 3:
			instants++
		case 4:
			counters++
		}
		if e.kind == 1 || e.kind == 3 {
			if seen[e.flow[0]] {
				flows++
			}
			seen[e.flow[0]] = true
		}
	}
	query := filepath.Join(t.TempDir(), "q.sql")
	require.NoError(t, os.WriteFile(query, []byte(`select
 (select count(*) from slice where dur >= 0 and name like 'frame %') as slices,
 (select count(*) from slice where name like 'drop %') as instants,
 (select count(*) from counter) as counters, (select count(*) from flow) as flows,
 (select ifnull(sum(value), 0) from stats where severity in ('error', 'data_loss')) as errors;`), 0o600))
	out, err := exec.Command(shell, "-q", query, file).Output()
	require.NoError(t, err)
	lines := strings.Fields(string(out))
	require.Equal(t, []int{slices, instants, counters, flows, 0}, numbers(t, lines[len(lines)-1]))
}

func numbers(t testing.TB, csv string) (n []int) {
	require.NoError(t, json.Unmarshal([]byte("["+csv+"]"), &n))
	return n
}

// Perfetto's own schema, where there is one: MESHNIC_PERFETTO_PYTHON is a Python
// that has the package perfetto.
func TestPerfettoAgainstItsSchema(t *testing.T) {
	python := os.Getenv("MESHNIC_PERFETTO_PYTHON")
	if python == "" {
		t.Skip("MESHNIC_PERFETTO_PYTHON does not name a Python with the package perfetto")
	}
	file, l := perfettoFile(t)
	out, err := exec.Command(python, "testdata/schema.py", file).Output()
	require.NoError(t, err)
	var got []struct {
		NS, Track, Type uint64
		Name            string
		Value           uint64
		Flow            []uint64
		Ends            bool
		Args            map[string]any
	}
	require.NoError(t, json.Unmarshal(out, &got))
	require.Len(t, got, len(l.events))
	for i, g := range got {
		e := l.events[i]
		require.Equal(t, []any{e.ns, e.track, e.kind, e.name, e.value, e.ends, len(e.flow), len(e.args)},
			[]any{g.NS, g.Track, g.Type, g.Name, g.Value, g.Ends, len(g.Flow), len(g.Args)})
		for k, v := range e.args {
			if n, ok := v.(uint64); ok {
				v = float64(n)
			}
			require.Equal(t, v, g.Args[k], k)
		}
	}
}
