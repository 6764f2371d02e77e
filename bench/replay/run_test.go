package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/trace"
	"github.com/meshnic/meshnic/internal/failure"
)

const macA, macB = "02:00:00:00:00:0a", "02:00:00:00:00:0b"

// request and answer are the two directions of a conversation.
func request(n int) []byte {
	return datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").UDP(4000, 80).Payload(string(bytesOf(n)))
}

func answer(n int) []byte {
	return datapathtest.Eth(macA, macB).IPv4("10.0.0.2", "10.0.0.1").UDP(80, 4000).Payload(string(bytesOf(n)))
}

// talk is a capture of n requests and their answers, gap ns apart, with a frame
// that the program refuses every tenth time, and one that was truncated.
func talk(n int, gap uint32) []byte {
	f := little().pcap(magicNano, 1)
	ns := uint32(0)
	for i := range n {
		b := request(20 + i*37%1400)
		if i%10 == 9 {
			b[24]++ // the IP header's checksum
		}
		f.record(100, ns, len(b), b)
		ns += gap
		if i%10 == 5 {
			f.record(100, ns, 1000, answer(958)[:64])
		} else {
			f.record(100, ns, 20+i*11%1000+42, answer(20+i*11%1000))
		}
		ns += gap
	}
	return f.b
}

func load(t testing.TB, name string) *pipeline.Description {
	d, _, ok := pipeline.Load(name)
	require.True(t, ok)
	return d
}

func run(t testing.TB, capture []byte, o Options) *Result {
	c, err := Open(bytes.NewReader(capture), "test.pcap")
	require.NoError(t, err)
	if o.Pipeline == nil {
		o.Pipeline = load(t, "passthrough-100g")
	}
	r, err := Run(context.Background(), c, o)
	require.NoError(t, err)
	require.True(t, r.Finished)
	return r
}

// everything is a replay with all its traces.
type everything struct {
	*Result
	vcd, perfetto, pcapng bytes.Buffer
	rows                  []trace.Frame
}

func runAll(t testing.TB, capture []byte, o Options) *everything {
	var e everything
	o.Traces = Traces{VCD: &e.vcd, Perfetto: &e.perfetto, Pcapng: &e.pcapng, Waterfall: true, Frames: func(f *trace.Frame) {
		x := *f
		x.InNs, x.OutNs, x.LastNs, x.FirstNs, x.OfferedNs, x.DropNs, x.OutBytes, x.FirstCycles, x.LastCycles = nil, nil, clone(f.LastNs), nil, nil, nil, nil, nil, nil
		e.rows = append(e.rows, x)
	}}
	e.Result = run(t, capture, o)
	slices.SortStableFunc(e.rows, func(a, b trace.Frame) int { return int(a.ID) - int(b.ID) })
	return &e
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	x := *p
	return &x
}

// Both engines say the same, in figures and in every file, byte for byte.
func TestEnginesAgree(t *testing.T) {
	for _, name := range pipeline.Shipped() {
		for _, gap := range []uint32{8, 700} {
			for _, ports := range []string{"one", "mac"} {
				t.Run(fmt.Sprint(name, gap, ports), func(t *testing.T) {
					o := Options{Pipeline: load(t, name), Ports: ports}
					fast := runAll(t, talk(60, gap), o)
					o.Engine = "tick"
					slow := runAll(t, talk(60, gap), o)
					fast.Engine = "tick"
					require.Equal(t, slow.Result, fast.Result)
					require.Equal(t, slow.rows, fast.rows)
					require.True(t, bytes.Equal(slow.vcd.Bytes(), fast.vcd.Bytes()), "waveforms")
					require.True(t, bytes.Equal(slow.perfetto.Bytes(), fast.perfetto.Bytes()), "timelines")
					require.True(t, bytes.Equal(slow.pcapng.Bytes(), fast.pcapng.Bytes()), "captures")
					require.Equal(t, uint64(120), fast.Offered.Frames)
					require.Equal(t, uint64(120), fast.Carried.Frames+fast.Dropped)
				})
			}
		}
	}
}

// The sum of the stages is the frame's time, the waterfall says the same, and
// what is lost is lost with the program's reason.
func TestFigures(t *testing.T) {
	e := runAll(t, talk(200, 300), Options{})
	require.Equal(t, Counts{Records: 400, Frames: 400, Truncated: 20}, e.Capture)
	require.Equal(t, []Drop{{Stage: "parser", Reason: "ip_checksum", Frames: 20, First: 19}}, e.Drops)
	require.Equal(t, uint64(20), e.ProgramDrops)
	require.Equal(t, uint64(380), e.Carried.Frames)

	sum := 0.0
	through := map[string]uint64{}
	for _, s := range e.Stages {
		through[s.Stage] = s.Frames
	}
	require.Equal(t, uint64(400), through["mac_rx"])
	require.Equal(t, uint64(380), through["parser"])
	w := e.Waterfall
	var parts trace.Nanos
	for _, s := range w.Stages {
		parts += s.SumNs
		require.Equal(t, uint64(380), s.Frames)
		sum += float64(s.SumNs) / 1000
	}
	require.Equal(t, w.Total.SumNs, parts+w.Remainder.SumNs)
	require.Zero(t, w.Remainder.SumNs)
	require.InDelta(t, e.Latency.MeanNs, sum/380, 1e-6)
	require.Equal(t, e.Latency.P50Ns, w.Total.P50Ns)
	require.Equal(t, e.Latency.MaxNs, w.Total.MaxNs)

	require.Len(t, e.rows, 400)
	for _, f := range e.rows {
		if f.ID%20 == 19 {
			require.Equal(t, "ip_checksum", f.Drop, "frame %d", f.ID)
			require.Equal(t, "parser", f.DropStage)
		} else {
			require.Empty(t, f.Drop, "frame %d", f.ID)
		}
	}
}

// Frames have the numbers of their records in the capture of the stages too, and
// its times are those of the replayed capture.
func TestCaptureOfStages(t *testing.T) {
	b := little().pcap(magicNano, 1)
	b.record(1_700_000_000, 5, 0, nil) // record 1 is no frame
	for i := range uint32(3) {
		b.record(1_700_000_000, 10+i*1000, 62, request(20))
	}
	e := runAll(t, b.b, Options{})
	r, err := pcapgo.NewNgReader(&e.pcapng, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	var seen []string
	for {
		data, ci, err := r.ReadPacketData()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		face, err := r.Interface(ci.InterfaceIndex)
		require.NoError(t, err)
		if face.Name == "parser" {
			seen = append(seen, fmt.Sprint(ci.Timestamp.Unix(), " ", ci.Timestamp.Nanosecond()/1000))
			require.Equal(t, request(20), data)
		}
	}
	require.Equal(t, []string{"1700000000 0", "1700000000 1", "1700000000 2"}, seen)
	ids := []uint32{}
	for _, f := range e.rows {
		ids = append(ids, f.ID)
	}
	require.Equal(t, []uint32{2, 3, 4}, ids)
}

func TestPorts(t *testing.T) {
	faces := little().section().face(1, nil).face(1, nil).face(1, nil).
		enhanced(2, 1e6, 62, request(20)).enhanced(0, 1e6+1, 62, answer(20)).enhanced(2, 1e6+2, 62, request(20)).face(1, nil).enhanced(3, 1e6+3, 62, request(20)).b
	for _, tt := range []struct {
		name    string
		file    []byte
		mode    string
		in, out []uint64
		noPort  uint64
	}{
		{"all at one", talk(10, 1000), "one", []uint64{20}, []uint64{19}, 0},
		{"directions by address", talk(10, 1000), "mac", []uint64{10, 10}, []uint64{10, 9}, 0},
		{"several interfaces", faces, "auto", []uint64{1, 0, 2}, []uint64{2, 1, 1}, 1}, // the first request is flooded
		{"several interfaces at one", faces, "one", []uint64{4}, []uint64{4}, 0},
		{"one interface", talk(10, 1000), "interface", []uint64{20}, []uint64{19}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, tt.file, Options{Ports: tt.mode})
			var came, went []uint64
			for _, p := range r.Ports {
				came, went = append(came, p.In), append(went, p.Out)
			}
			require.Equal(t, tt.in, came)
			require.Equal(t, tt.out, went)
			require.Equal(t, tt.noPort, r.Capture.NoPort)
		})
	}
}

// A crossbar with inputs of its own sends each frame where the switch sends it.
func TestGraph(t *testing.T) {
	r := run(t, talk(10, 1000), Options{Pipeline: load(t, "switch"), Ports: "mac", SkipChecksums: true})
	require.Equal(t, uint64(20), r.Carried.Frames)
	require.Equal(t, uint64(10), r.Ports[0].Out)
	require.Equal(t, uint64(10), r.Ports[1].Out)
}

func TestPace(t *testing.T) {
	b := little().pcap(magicMicro, 1)
	for _, us := range []uint32{50, 10, 60, 40, 70} { // the first is time 0
		b.record(1, us, 62, request(20))
	}
	b.record(1, 1e6, 62, request(20)) // no time
	for _, tt := range []struct {
		name string
		pace Pace
		last float64 // ns
		odd  uint64
	}{
		{"recorded", Pace{}, 20_000, 2},
		{"twice as fast", Pace{Speed: 2}, 10_000, 2},
		{"a frame every 7 ns", Pace{Gap: 7000}, 35, 0},
		{"back to back", Pace{BackToBack: true}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, b.b, Options{Pace: tt.pace})
			require.InDelta(t, tt.last, float64(r.Offered.LastNs)/1000, 1e-9)
			require.Equal(t, tt.odd, r.Capture.OutOfOrder)
			require.Equal(t, uint64(1), r.Capture.BadTime)
		})
	}
}

// Back to back is as fast as the line takes the frames, however they are dealt
// out to the engines.
func TestBackToBackIsLineRate(t *testing.T) {
	b := little().pcap(magicMicro, 1)
	for range 5000 {
		b.record(1, 0, 64, request(22))
	}
	fast := run(t, b.b, Options{Pace: Pace{BackToBack: true}})
	slow := run(t, b.b, Options{Pace: Pace{BackToBack: true}, Engine: "tick"})
	slow.Engine = "maxplus"
	require.Equal(t, slow, fast)
	require.InEpsilon(t, 100e9/8/(64+24), *fast.Carried.FramesPerS, 0.001) // with preamble, FCS and gap
}

// A time far ahead does not end time for those behind it.
func TestTimeThatJumps(t *testing.T) {
	b := little().pcap(magicMicro, 1).record(1, 0, 62, request(20)).record(1<<31, 0, 62, request(20)).record(1, 9, 62, request(20))
	r := run(t, b.b, Options{})
	require.Equal(t, uint64(1), r.Capture.BadTime)
	require.Zero(t, r.Capture.OutOfOrder)
	require.Equal(t, trace.Nanos(9_000_000), r.Offered.LastNs)
}

func TestSkipAndLimit(t *testing.T) {
	e := runAll(t, talk(20, 1000), Options{Skip: 7, Limit: 5})
	require.Equal(t, uint64(5), e.Offered.Frames)
	require.Equal(t, Counts{Records: 12, Frames: 5, Truncated: 1}, e.Capture)
	require.Equal(t, uint32(8), e.rows[0].ID)
	require.Zero(t, e.Offered.FirstNs)
}

func TestRefused(t *testing.T) {
	open := func(b []byte) *Capture {
		c, err := Open(bytes.NewReader(b), "x.pcapng")
		require.NoError(t, err)
		return c
	}
	many := little().section()
	for range 17 {
		many.face(1, nil)
	}
	broken, err := pipeline.Parse([]byte("clock_mhz: 250\nstages:\n  - {module: axis_register, DATA_WIDTH: 64}\n  - {module: axis_register, DATA_WIDTH: 128}\n"), "mine.yaml")
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		file []byte
		o    Options
		want string
		kind failure.Kind
	}{
		"interfaces": {many.enhanced(0, 1, 62, request(20)).b, Options{}, "17 interfaces, a card has at most 16", failure.Usage},
		"ports":      {talk(1, 1), Options{Ports: "two"}, "want auto, one, interface, mac", failure.Usage},
		"no chain": {little().section().face(1, nil).face(1, nil).face(1, nil).face(1, nil).face(1, nil).enhanced(0, 1, 62, request(20)).b,
			Options{Pipeline: load(t, "switch")}, "it has 4 inputs, the capture's frames come in at 5", failure.Usage},
		"widths":      {talk(1, 1), Options{Pipeline: broken}, "takes 128 bits", failure.BadFile},
		"no Ethernet": {little().section().face(276, nil).enhanced(0, 1, 62, request(20)).b, Options{}, "link type is 276 (Linux cooked v2)", failure.BadFile},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.o.Pipeline == nil {
				tt.o.Pipeline = load(t, "passthrough-100g")
			}
			_, err := Run(context.Background(), open(tt.file), tt.o)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, tt.kind, failure.KindOf(err))
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(fmt.Errorf("enough"))
	c, err := Open(bytes.NewReader(talk(300, 10)), "x")
	require.NoError(t, err)
	_, err = Run(ctx, c, Options{Pipeline: load(t, "passthrough-100g")})
	require.ErrorContains(t, err, "enough")
}

// Every key of the JSON with a number has its unit or what it counts, and the
// rows of the CSV are the same figures.
func TestRows(t *testing.T) {
	r := run(t, talk(20, 100), Options{})
	b, err := json.Marshal(r)
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(b, &doc))
	require.Equal(t, Schema, doc["schema"])
	flat := map[string]string{}
	for _, row := range r.Rows() {
		require.NotContains(t, flat, row[0])
		flat[row[0]] = row[1]
	}
	for key := range doc["capture"].(map[string]any) {
		require.Contains(t, flat, "capture."+key)
	}
	require.Equal(t, "38", flat["carried.frames"])
	require.Equal(t, fmt.Sprint(r.Latency.P50Ns), flat["latency.p50_ns"])
	require.Contains(t, flat, "stages.mac_rx.latency.p99.9_ns")
}

// What is held does not grow with the capture.
func TestMemoryIsBounded(t *testing.T) {
	c, err := Open(bytes.NewReader(talk(4000, 200)), "x")
	require.NoError(t, err)
	var y *replay
	o := Options{Pipeline: load(t, "passthrough-100g"), Traces: Traces{Pcapng: io.Discard}}
	y = newReplay(c, o)
	_, err = y.run(context.Background())
	require.NoError(t, err)
	require.LessOrEqual(t, len(y.flight), 2048)
	require.LessOrEqual(t, len(y.out.bytes), 2*batch)
}
