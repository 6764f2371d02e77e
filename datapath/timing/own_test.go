package timing_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/timing"
)

// proxied is traffic of which a program has taken a part: heads, frames of its own, frames
// that end in it, and those that it makes at times of its own.
func proxied(seed uint64, ports, frames int) []arrival {
	r := rand.New(rand.NewPCG(seed, 2))
	all := traffic(seed, ports, frames)
	for i := range all {
		a := &all[i]
		if r.IntN(20) == 0 {
			a.in, a.d = ports, timing.Decision{To: datapath.PortSet(0).Add(datapath.Port(r.IntN(ports)))}
		}
		w := &a.d.Work
		w.Told, w.Reads, w.Lookups = r.IntN(6) > 0, uint8(r.IntN(4)), uint8(r.IntN(3)*4)
		if a.bytes > 100 && r.IntN(3) == 0 {
			w.Head, w.Written = uint16(66+r.IntN(a.bytes-66)), uint16(r.IntN(600))
			a.d.Grow = r.IntN(160) - 30
		}
		for range r.IntN(12) / 9 {
			a.d.Own = append(a.d.Own, timing.Own{Bytes: 54 + r.IntN(400), To: datapath.Port(r.IntN(ports))})
		}
		if a.d.Drop == "" && r.IntN(5) == 0 {
			a.d.Drop, a.d.To = "offload", 0
		}
	}
	return all
}

func TestEnginesAgreeOnOwnFrames(t *testing.T) {
	for _, name := range []string{"offload-100g", "offload-10g", "offload-host"} {
		for _, ports := range []int{2, 3, 7} {
			t.Run(fmt.Sprint(name, ports), func(t *testing.T) {
				all := proxied(uint64(ports), ports, 300)
				fast, fastPeaks := run(t, name, "maxplus", ports, all)
				slow, slowPeaks := run(t, name, "tick", ports, all)
				require.Equal(t, slow.crossed, fast.crossed)
				require.Equal(t, slow.lost, fast.lost)
				require.Equal(t, slowPeaks, fastPeaks)
			})
		}
	}
}

// Every frame of the program's own leaves once, by its port, later than what it is because
// of came, or is lost with that.
func TestOwnFramesLeave(t *testing.T) {
	all := proxied(5, 3, 400)
	l, _ := run(t, "offload-100g", "maxplus", 3, all)
	got, copies := map[uint32][3]int{}, 0
	for _, x := range l.crossed {
		copies++
		require.Greater(t, x.Left, x.Entered)
		if x.Own {
			n := got[x.Frame]
			n[x.Out]++
			got[x.Frame] = n
		}
	}
	own, early := 0, 0
	for _, a := range all {
		var want [3]int
		for _, o := range a.d.Own {
			want[o.To]++
		}
		if a.d.Drop == "mac_rx" || a.d.Drop == "parser" { // nothing comes of it
			early += len(a.d.Own)
			want = [3]int{}
		}
		require.Equal(t, want, got[a.id], "frame %d: %v", a.id, a.d)
		own += len(a.d.Own)
	}
	require.Greater(t, own-early, 50)
	require.NotZero(t, early)
}

// What a program has said is what a frame takes longer: in cycles of the core.
func TestWorkTakesTime(t *testing.T) {
	const cycle = 4000
	took := func(d timing.Decision, bytes int) int {
		l := &log{}
		c, err := timing.New(load(t, "offload-100g"), timing.Options{Ports: 2}, l)
		require.NoError(t, err)
		if d.Drop == "" {
			d.To = 2
		}
		d.Work.Told = true
		c.Arrive(1, 0, 0, bytes, d)
		require.True(t, c.Finish(1e12))
		require.Len(t, l.crossed, 1)
		return int(l.crossed[0].Left - l.crossed[0].Entered)
	}
	for _, tt := range []struct {
		name   string
		d      timing.Decision
		bytes  int
		cycles int
	}{
		{"two accesses of 5 cycles", timing.Decision{Work: datapath.Work{Reads: 2}}, 60, 10},
		{"four lookups of 5 cycles", timing.Decision{Work: datapath.Work{Lookups: 4}}, 60, 20},
		{"a head of 246 bytes, 8 a cycle behind 54 of headers", timing.Decision{Work: datapath.Work{Head: 300}}, 600, 30},
		{"a head of 352 bytes written, 16 a cycle: 22 cycles, of which 6 beats would take 6", timing.Decision{Work: datapath.Work{Written: 352}}, 600, 16},
	} {
		// What comes behind waits and then leaves a beat a cycle, faster than the line brought it; the
		// crossing into the line's clock takes a cycle more or less.
		require.InDelta(t, tt.cycles*cycle, took(tt.d, tt.bytes)-took(timing.Decision{}, tt.bytes), 4*cycle, tt.name)
	}
	// An answer takes from when the frame came that it answers; 74 bytes are written in 5 cycles.
	answer := took(timing.Decision{Drop: "offload", Own: []timing.Own{{Bytes: 74, To: 0}}}, 74)
	require.InDelta(t, took(timing.Decision{}, 74)+4*cycle, answer, 2*cycle)
}

func TestOwnPort(t *testing.T) {
	for name, want := range map[string]int{"offload-100g": 4, "passthrough-100g": -1} {
		c, err := timing.New(load(t, name), timing.Options{Ports: 4}, &log{})
		require.NoError(t, err)
		in, ok := c.OwnPort()
		require.Equal(t, want, in)
		require.Equal(t, want > 0, ok)
	}
	_, err := timing.New(load(t, "offload-100g"), timing.Options{Ports: 16}, &log{})
	require.ErrorContains(t, err, "want 1 to 15")
}

// BenchmarkLiveOffload is a NIC's use of the pipelines of a proxy: acknowledgements, full
// frames of a body behind their head, and a request's frames (request, response, acknowledgement).
func BenchmarkLiveOffload(b *testing.B) {
	told := func(w datapath.Work) datapath.Work { w.Told = true; return w }
	frames := []arrival{
		{in: 0, bytes: 296, d: timing.Decision{To: 2, Grow: 110, Work: told(datapath.Work{Reads: 2, Lookups: 4, Head: 296, Written: 340})}},
		{in: 1, bytes: 460, d: timing.Decision{To: 1, Grow: 40, Work: told(datapath.Work{Reads: 2, Head: 260, Written: 234})}},
		{in: 0, bytes: 66, d: timing.Decision{Drop: "offload", Own: []timing.Own{{Bytes: 66, To: 1}}, Work: told(datapath.Work{Reads: 2})}},
	}
	plain := func(bytes int) []arrival {
		return []arrival{{in: 0, bytes: bytes, d: timing.Decision{To: 2, Work: told(datapath.Work{Reads: 2})}}}
	}
	for _, pipeline := range []string{"offload-100g", "offload-10g", "offload-host"} {
		for _, tt := range []struct {
			name   string
			frames []arrival
		}{{"request", frames}, {"bytes=64", plain(64)}, {"bytes=1518", plain(1518)}} {
			b.Run(pipeline+"/"+tt.name, func(b *testing.B) {
				l := &nobody{}
				c, err := timing.New(load(b, pipeline), timing.Options{Ports: 2}, l)
				require.NoError(b, err)
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					x := &tt.frames[i%len(tt.frames)]
					at := sim.Picos(i+1) * 5_000_000
					c.Arrive(uint32(i+1), x.in, at, x.bytes, x.d)
					c.Advance(at + 1)
				}
				c.Finish(1 << 62)
				require.Equal(b, b.N, l.crossed)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/frame")
			})
		}
	}
}
