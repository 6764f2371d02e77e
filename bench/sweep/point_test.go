package sweep

import (
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const slice64 = "clock_mhz: 250\nstages: [{module: axis_register, name: slice, DATA_WIDTH: 64}]\n"

// A register slice passes a beat a cycle, so everything is known by hand: a
// frame of 60 bytes is 8 beats over 64 bit.
func TestSaturationByHand(t *testing.T) {
	p := inline(t, slice64, `
vary: {width: [64, 512], clock_mhz: [250, 500]}
traffic: {bytes: 60, gap: [0, 100], sink: [none, alt50]}
`)
	for _, tt := range []struct {
		width, mhz float64
		sink       string
		cycles     float64 // a frame, at saturation
	}{
		{64, 250, "none", 8},
		{64, 250, "alt50", 16},
		{64, 500, "none", 8},
		{512, 250, "none", 1},
		{512, 500, "alt50", 2},
	} {
		for i := range p.Size() {
			pt := p.Point(i)
			if pt.Vary["width"] != tt.width || pt.Vary["clock_mhz"] != tt.mhz || pt.Sink != tt.sink {
				continue
			}
			require.Empty(t, pt.Error)
			require.True(t, pt.Finished && pt.Saturation.Steady)
			require.Equal(t, tt.cycles, *pt.Saturation.CyclesPerFrame, "%+v", tt)
			require.InDelta(t, 60*8*tt.mhz/tt.cycles/1000, *pt.Gbps(), 1e-6, "%+v", tt)
			require.InDelta(t, tt.mhz/tt.cycles, *pt.Saturation.Mfps, 1e-6)
			if pt.Gap == 100 {
				require.Greater(t, *pt.CyclesPerFrame, 100.0, "the spacing of frames is that of the traffic, saturation has no gap")
			}
			if tt.sink == "none" {
				require.Equal(t, 1.0, *pt.FirstCycles, "a register")
				beats := 512 / tt.width
				require.Equal(t, beats, *pt.LastCycles)
				require.Equal(t, *pt.LastCycles*1000/tt.mhz, *pt.LastNS, "cycles and model_ns of one clock")
				require.Equal(t, *pt.LastNS, *pt.FinalNS, "nothing fills up")
			}
		}
	}
}

// The shipped 10G pipeline carries line rate: 84 bytes on the wire for 60.
func TestSaturationIsLineRate(t *testing.T) {
	p := parsePlan(t, "pipeline: passthrough-10g\ntraffic: {bytes: [60, 1514]}")
	for i, b := range []float64{60, 1514} {
		pt := p.Point(i)
		require.InEpsilon(t, 10*b/(b+24), *pt.Gbps(), 0.001, "%g bytes", b)
		require.Zero(t, pt.Saturation.Dropped)
	}
}

// Throughput is over all outputs, whichever they are. A frame is 8 beats; to an
// output each there are two cycles between an input's frames, to one output
// another input's frame is ready.
func TestSaturationOfASwitch(t *testing.T) {
	for dest, cycles := range map[string]float64{"0,64,128,192": 2.5, "0": 8, "192": 8} {
		p := parsePlan(t, "pipeline: switch\nvary: {DEPTH: 256}\ntraffic: {bytes: 64, inputs: 4, dest: \""+dest+"\"}")
		pt := p.Point(0)
		require.Empty(t, pt.Error)
		require.True(t, pt.Saturation.Steady)
		require.InDelta(t, cycles, *pt.Saturation.CyclesPerFrame, 0.01, "dest %s", dest)
		require.InDelta(t, 250*64*8 / *pt.Saturation.CyclesPerFrame / 1000, *pt.Gbps(), 1e-3)
	}
}

// Saturation finds the losses that a train of the plan's length is too short for.
func TestSaturationDrops(t *testing.T) {
	p := inline(t, `
clock_mhz: 250
stages:
  - {module: axis_fifo, name: fifo, DATA_WIDTH: 64, DEPTH: 8192, FRAME_FIFO: 1, DROP_OVERSIZE_FRAME: 1, DROP_WHEN_FULL: 1}
`, "vary: {fifo_depth: [64, 8192]}\ntraffic: {bytes: 100, frames: 16, sink: alt50}")
	small, large := p.Point(0), p.Point(1)
	require.Equal(t, 16, small.Dropped, "no frame fits")
	require.Equal(t, []Loss{{"fifo", "oversize", 16}}, small.Losses)
	require.Nil(t, small.Gbps())
	require.Nil(t, small.LastCycles)
	require.Zero(t, large.Dropped)
	require.Positive(t, large.Saturation.Dropped)
	require.InEpsilon(t, 250*8*100/26.0/1000, *large.Gbps(), 0.002, "13 beats, every other cycle")
	require.Equal(t, "fifo", large.Highest().Stage)
	require.Greater(t, *large.FinalCycles, *large.LastCycles, "the last frame waits behind the others")
}

// A sink that takes nothing: no figure, and no end of the world.
func TestFrozenSink(t *testing.T) {
	pt := inline(t, slice64, "traffic: {sink: frozen}").Point(0)
	require.Empty(t, pt.Error)
	require.Zero(t, pt.Delivered)
	require.Nil(t, pt.Gbps())
	require.False(t, pt.Saturation.Steady)
}

func TestEnginesAgree(t *testing.T) {
	const text = "pipeline: passthrough-10g\nvary: {fifo_depth: [512, 1024]}\ntraffic: {bytes: [60, 999], sink: [none, alt50], frames: 20, engine: "
	tick, maxplus := parsePlan(t, text+"tick}"), parsePlan(t, text+"maxplus}")
	for i := range tick.Size() {
		require.Equal(t, tick.Point(i), maxplus.Point(i), "point %d", i)
	}
}

// A value that cannot be built costs its points, and says why without a place in
// a file that does not have the value.
func TestPointsThatCannotBe(t *testing.T) {
	p := inline(t, `
clock_mhz: 250
stages:
  - {module: axis_adapter, name: up, S_DATA_WIDTH: 64, M_DATA_WIDTH: 256}
`, "vary: {up.M_DATA_WIDTH: [128, 200, 256], clock_mhz: [0, 250]}")
	var failed []string
	for i := range p.Size() {
		if pt := p.Point(i); pt.Error != "" {
			failed = append(failed, strings.Join(p.Settings(&pt)[1:3], " ")+": "+pt.Error)
			require.NotContains(t, pt.Error, "\n")
			require.NotRegexp(t, `\d+:\d+:`, pt.Error)
		}
	}
	require.Contains(t, strings.Join(failed, "\n"), "200 250: stage up: ")
	require.GreaterOrEqual(t, len(failed), 2)
}

// What a row says is what its point says, column for column.
func TestCSV(t *testing.T) {
	p := parsePlan(t, "pipeline: passthrough-10g\nvary: {rx_fifo.DEPTH: [512, 16384], mac_tx.DATA_WIDTH: [64, 77]}\ntraffic: {bytes: [60, 1514]}")
	var points []Point
	for i := range p.Size() {
		points = append(points, p.Point(i))
	}
	var b strings.Builder
	require.NoError(t, p.WriteCSV(&b, points, p.Chart.View(points)))
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1+len(points))
	require.Equal(t, p.Header(), rows[0])
	cell := func(row int, name string) string {
		i := slices.Index(rows[0], name)
		require.GreaterOrEqual(t, i, 0, name)
		return rows[1+row][i]
	}
	good := 4 // 16384, 64, 60 bytes
	pt := points[good]
	for name, want := range map[string]string{
		"point": "4", "rx_fifo.DEPTH": "16384", "mac_tx.DATA_WIDTH": "64", "frame_bytes": "60", "sink": "none",
		"first_latency_cycles": number(*pt.FirstCycles), "first_latency_model_ns": number(*pt.FirstNS),
		"last_latency_cycles": number(*pt.LastCycles), "last_latency_model_ns": number(*pt.LastNS),
		"throughput_gbit_per_s": "7.142857", "saturation_cycles_per_frame": "10.5", "saturation_steady": "true",
		"saturation_dropped_frames": "0", "delivered_frames": "64", "dropped_frames": "0", "finished": "true", "error": "",
		"area_lut_lo": number(pt.Area.LUT.Lo), "area_lut_hi": "unknown",
		"area_bram36_lo": number(pt.Area.BRAM.Lo), "area_bram36_hi": number(pt.Area.BRAM.Hi),
	} {
		require.Equal(t, want, cell(good, name), name)
	}
	require.Contains(t, cell(good, "area_source"), "AMD UG573", "an estimate names its source")
	require.Equal(t, "rx_fifo oversize 64", cell(1, "drop_reasons"))
	require.Empty(t, cell(1, "throughput_gbit_per_s"), "nothing came out")
	require.Contains(t, cell(2, "error"), "DATA_WIDTH")
	require.Empty(t, cell(2, "pareto"))

	// More memory does not take less.
	lo := func(row int) float64 {
		v, err := strconv.ParseFloat(cell(row, "area_bram36_lo"), 64)
		require.NoError(t, err)
		return v
	}
	require.Greater(t, lo(4), lo(0))
}

func BenchmarkPoint(b *testing.B) {
	p := parsePlan(b, "pipeline: passthrough-100g")
	for b.Loop() {
		p.Point(0)
	}
}

// Long frames and many inputs make short trains: memory is bounded.
func TestTrains(t *testing.T) {
	for _, tt := range []struct{ bytes, inputs, first, last int }{
		{60, 1, 64, 32768}, {1514, 1, 64, 5540}, {1514, 16, 64, 346}, {65535, 1, 8, 128}, {65535, 256, 8, 32},
	} {
		first, last := trains(tt.bytes, tt.inputs)
		require.Equal(t, []int{tt.first, tt.last}, []int{first, last}, "%+v", tt)
	}
}
