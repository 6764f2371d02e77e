package fault_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/fault"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/mem"
)

func TestContract(t *testing.T) {
	for name, cfg := range map[string]fault.Config{
		"no faults":            {},
		"delay":                {Delay: time.Millisecond},
		"jitter":               {Delay: 100 * time.Microsecond, Jitter: time.Millisecond},
		"held, never decided":  {Reorder: math.SmallestNonzeroFloat64, Superframes: true},
		"corrupt, never ready": {Corrupt: math.SmallestNonzeroFloat64, Superframes: true},
	} {
		t.Run(name, func(t *testing.T) {
			hostiftest.RunLink(t, func(t *testing.T) (hostif.Link, hostif.Link) {
				a, b := mem.Pipe(1024, mem.WithOffloads())
				fa, fb := fault.Wrap(a, cfg, time.Now), fault.Wrap(b, cfg, time.Now)
				t.Cleanup(func() { _, _ = fa.Close(), fb.Close() })
				return fa, fb
			})
		})
	}
}

// hands is a clock in the test's hands.
type hands struct{ now time.Time }

func (h *hands) clock() time.Time { return h.now }

func wrapped(t *testing.T, cfg fault.Config, h *hands) (*fault.Link, *mem.Link) {
	a, b := mem.Pipe(4096, mem.WithOffloads())
	l := fault.Wrap(a, cfg, h.clock)
	t.Cleanup(func() { _, _ = l.Close(), b.Close() })
	return l, b
}

func send(t *testing.T, l hostif.Link, frames ...*hostif.Frame) {
	t.Helper()
	n, err := l.Send(frames)
	require.NoError(t, err)
	require.Equal(t, len(frames), n)
}

// recv asks once, for at most n frames, and returns copies.
func recv(t *testing.T, l hostif.Link, n int) (out []*hostif.Frame) {
	t.Helper()
	frames := make([]*hostif.Frame, n)
	got, err := l.Recv(frames)
	require.NoError(t, err)
	for _, f := range frames[:got] {
		out = append(out, f.Clone())
	}
	return out
}

// stream sends total frames in batches and returns the bytes of what arrives.
func stream(t *testing.T, cfg fault.Config, total, batch, room int) ([]string, fault.Counters) {
	h := &hands{now: time.Unix(0, 0)}
	l, far := wrapped(t, cfg, h)
	var got []string
	take := func() int {
		fs := recv(t, l, room)
		for _, f := range fs {
			got = append(got, string(f.Data))
		}
		return len(fs)
	}
	for seq := 0; seq < total; seq += batch {
		for i := range batch {
			send(t, far, hostiftest.Frame(uint32(seq+i), 60))
		}
		for take() > 0 {
		}
		h.now = h.now.Add(10 * time.Microsecond)
	}
	h.now = h.now.Add(time.Minute)
	for take() > 0 {
	}
	return got, l.Faults()
}

var everything = fault.Config{Seed: 42, Loss: .03, Duplicate: .02, Reorder: .05, Corrupt: .01}

func TestSeedDecides(t *testing.T) {
	want, wantC := stream(t, everything, 6000, 30, 64)
	for _, shape := range [][2]int{{1, 1}, {30, 7}, {100, 64}} {
		got, c := stream(t, everything, 6000, shape[0], shape[1])
		require.Equal(t, wantC, c, "batches of %d, room for %d", shape[0], shape[1])
		require.ElementsMatch(t, want, got)
		if shape[1] == 64 {
			require.Equal(t, want, got, "also the order")
		}
	}
	other := everything
	other.Seed++
	got, _ := stream(t, other, 6000, 30, 64)
	require.NotEqual(t, want, got)
}

func TestRates(t *testing.T) {
	const n = 60000
	got, c := stream(t, everything, n, 30, 64)
	require.EqualValues(t, n, c.Frames)
	require.EqualValues(t, n-c.Lost+c.Duplicated, len(got))
	kept := float64(n - c.Lost)
	for _, p := range []struct {
		name  string
		count uint64
		p, of float64
	}{
		{"loss", c.Lost, everything.Loss, n}, {"duplicate", c.Duplicated, everything.Duplicate, kept},
		{"reorder", c.Reordered, everything.Reorder, kept}, {"corrupt", c.Corrupted, everything.Corrupt, kept},
	} {
		sigma := math.Sqrt(p.of * p.p * (1 - p.p))
		require.InDelta(t, p.of*p.p, float64(p.count), 5*sigma, p.name)
	}
}

func TestReorderIsBounded(t *testing.T) {
	got, c := stream(t, fault.Config{Seed: 1, Reorder: .1}, 6000, 30, 64)
	require.Len(t, got, 6000)
	moved, seen := 0, map[uint32]bool{}
	for at, g := range got {
		seq := hostiftest.Seq([]byte(g))
		require.False(t, seen[seq])
		seen[seq] = true
		d := int(seq) - at
		// At most three overtake it, and these may be reordered themselves.
		require.Less(t, max(d, -d), 8, "frame %d came as number %d", seq, at)
		if d != 0 {
			moved++
		}
	}
	require.Greater(t, moved, int(c.Reordered)/2)
}

// The last frame of a burst, held to be overtaken, comes by itself.
func TestReorderedFrameDoesNotWaitForEver(t *testing.T) {
	a, far := mem.Pipe(8)
	l := fault.Wrap(a, fault.Config{Reorder: 1}, time.Now)
	defer l.Close()
	defer far.Close()
	send(t, far, hostiftest.Frame(9, 60))
	require.Empty(t, recv(t, l, 8))
	wait, ok := l.NextDue(time.Now())
	require.True(t, ok)
	require.LessOrEqual(t, wait, 5*time.Millisecond)
	require.True(t, hostiftest.Readable(l.Fd(), 20*time.Second), "no wake-up when the frame is due")
	require.Len(t, recv(t, l, 8), 1)
	require.False(t, hostiftest.Readable(l.Fd(), 0), "stays readable")
	_, ok = l.NextDue(time.Now())
	require.False(t, ok)
}

func TestDelay(t *testing.T) {
	h := &hands{now: time.Unix(100, 0)}
	l, far := wrapped(t, fault.Config{Delay: 2 * time.Millisecond, Jitter: time.Millisecond}, h)
	for seq := range uint32(100) {
		send(t, far, hostiftest.Frame(seq, 60))
		require.Empty(t, recv(t, l, 64))
		wait, ok := l.NextDue(h.now)
		require.True(t, ok)
		require.GreaterOrEqual(t, wait, 2*time.Millisecond)
		require.Less(t, wait, 3*time.Millisecond)
		h.now = h.now.Add(wait - 1)
		require.Empty(t, recv(t, l, 64), "a nanosecond early")
		h.now = h.now.Add(1)
		got := recv(t, l, 64)
		require.Len(t, got, 1)
		require.Equal(t, seq, hostiftest.Seq(got[0].Data))
	}
	// Jitter changes the gaps, never the order.
	for seq := range uint32(500) {
		send(t, far, hostiftest.Frame(seq, 60))
		recv(t, l, 0)
	}
	require.Empty(t, recv(t, l, 600))
	h.now = h.now.Add(time.Second)
	for i, f := range recv(t, l, 600) {
		require.EqualValues(t, i, hostiftest.Seq(f.Data))
	}
}

// A copy for which the caller had no room is announced, and comes next.
func TestNoRoom(t *testing.T) {
	l, far := wrapped(t, fault.Config{Duplicate: 1}, &hands{})
	send(t, far, hostiftest.Frame(5, 60))
	require.Len(t, recv(t, l, 1), 1)
	wait, ok := l.NextDue(time.Time{})
	require.True(t, ok)
	require.Zero(t, wait)
	require.True(t, hostiftest.Readable(l.Fd(), 20*time.Second), "the rest waits without a wake-up")
	got := recv(t, l, 1)
	require.Len(t, got, 1)
	require.EqualValues(t, 5, hostiftest.Seq(got[0].Data))
	require.False(t, hostiftest.Readable(l.Fd(), 0))
}

// What is held at the end of the stream arrives before the end does.
func TestEOFWaitsForHeldFrames(t *testing.T) {
	h := &hands{now: time.Unix(100, 0)}
	l, far := wrapped(t, fault.Config{Delay: time.Second}, h)
	send(t, far, hostiftest.Frame(1, 60))
	require.NoError(t, far.Close())
	frames := make([]*hostif.Frame, 4)
	for range 3 {
		n, err := l.Recv(frames)
		require.NoError(t, err)
		require.Zero(t, n)
	}
	h.now = h.now.Add(time.Second)
	n, err := l.Recv(frames)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = l.Recv(frames)
	require.ErrorIs(t, err, io.EOF)
}

// A corrupted frame has a finished checksum that is wrong for its bytes.
func TestCorrupt(t *testing.T) {
	l, far := wrapped(t, fault.Config{Corrupt: 1, Seed: 3}, &hands{})
	noticed := 0
	const n = 500
	for seq := range uint32(n) {
		f := hostiftest.Unfinished(hostif.GSONone, seq, 200, 0)
		clean := f.Clone()
		clean.Offload = hostif.Offload{}
		require.True(t, wire.FillL4Checksum(clean.Data))
		send(t, far, f)
		got := recv(t, l, 1)[0]
		require.Equal(t, hostif.Offload{}, got.Offload, "the sum is left to nobody")
		diff := 0
		for i := range got.Data {
			if got.Data[i] != clean.Data[i] {
				diff++
				require.GreaterOrEqual(t, i, 14)
			}
		}
		require.Equal(t, 1, diff, "one byte")
		// The sums of RFC 791 and RFC 9293 §3.1 over where the headers were.
		pseudo := uint32(6 + len(got.Data) - 34)
		pseudo += uint32(hostiftest.Sum(0, got.Data[26:34]))
		if hostiftest.Sum(0, got.Data[14:34]) != 0xffff || hostiftest.Sum(pseudo, got.Data[34:]) != 0xffff {
			noticed++
		}
	}
	require.Equal(t, n, noticed, "a byte behind the Ethernet header that no checksum covers")
}

// Faults hit packets: a superframe is cut first, and nothing of it is missing.
func TestSuperframe(t *testing.T) {
	l, far := wrapped(t, fault.Config{Loss: .2, Seed: 4}, &hands{})
	const payload, mss = 60000, 1400
	var lost, came int
	for range 20 {
		f := hostiftest.Unfinished(hostif.GSOTCPv4, 1, payload, mss)
		want := f.Clone().Data[54:]
		send(t, far, f)
		var next int
		for {
			got := recv(t, l, 16) // less room than segments
			if len(got) == 0 {
				break
			}
			for _, g := range got {
				require.True(t, wire.L4ChecksumOK(g.Data))
				off := int(binary.BigEndian.Uint32(g.Data[38:]) - 1)
				require.GreaterOrEqual(t, off, next)
				next = off + len(g.Data) - 54
				require.Equal(t, want[off:next], g.Data[54:])
				came++
			}
		}
		lost = 20*((payload+mss-1)/mss) - came
	}
	require.EqualValues(t, lost, l.Faults().Lost)
	require.EqualValues(t, 20, l.Faults().Segmented)

	whole, far := wrapped(t, fault.Config{Corrupt: 1, Superframes: true}, &hands{})
	f := hostiftest.Unfinished(hostif.GSOTCPv4, 1, payload, mss)
	want := f.Clone()
	send(t, far, f)
	got := recv(t, whole, 4)
	require.Len(t, got, 1)
	require.Equal(t, want, got[0])
	require.EqualValues(t, 1, whole.Faults().Spared)
}

func BenchmarkRecv(b *testing.B) {
	for _, cfg := range []fault.Config{{}, {Loss: .01, Duplicate: .01, Reorder: .01}} {
		b.Run(fmt.Sprintf("[%v]", cfg), func(b *testing.B) {
			x, y := mem.Pipe(64)
			l := fault.Wrap(x, cfg, time.Now)
			defer l.Close()
			defer y.Close()
			out, in := make([]*hostif.Frame, 32), make([]*hostif.Frame, 64)
			for i := range out {
				out[i] = hostiftest.Frame(uint32(i), 60)
			}
			for b.Loop() {
				_, _ = y.Send(out)
				_, _ = l.Recv(in)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*32), "ns/frame")
		})
	}
}
