package nic

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/hostif"
)

func TestSegments(t *testing.T) {
	for _, tt := range []struct{ size, segment, headers, want int }{
		{60, 0, 54, 1},
		{1514, 1460, 54, 1},
		{1515, 1460, 54, 2},
		{54 + 3*1460, 1460, 54, 3},
		{54 + 3*1460 + 1, 1460, 54, 4},
		{10, 100, 54, 1},
		{54, 100, 54, 1},
	} {
		require.Equal(t, tt.want, segments(tt.size, tt.segment, tt.headers), "%+v", tt)
	}
}

// Arrivals come out in their order; where too many wait, a whole stretch is left
// out, and what follows it says so.
func TestBacklog(t *testing.T) {
	var b backlog
	n := sim.Cycle(0)
	push := func(times int, segments uint32) {
		for range times {
			n++
			b.push(&arrival{at: n, segments: segments}, nil)
		}
	}
	push(3, 1)
	require.Equal(t, sim.Cycle(1), b.pop().at)
	push(5000, 1) // it grows, with its oldest in the middle of the ring
	for want := sim.Cycle(2); b.waiting > 0; want++ {
		a := b.pop()
		require.Equal(t, want, a.at)
		require.False(t, a.gap)
	}
	push(maxBehind/4, 4)
	require.Equal(t, maxBehind, b.waiting)
	require.Zero(t, b.untimed)
	push(2, 44)
	require.EqualValues(t, 88, b.untimed)
	for b.waiting > maxBehind/2+4 {
		b.pop()
	}
	push(1, 1)
	require.EqualValues(t, 89, b.untimed, "more than half is taken")
	b.pop()
	push(2, 1)
	require.EqualValues(t, 89, b.untimed)
	last := n
	gaps := 0
	for b.waiting > 0 {
		if a := b.pop(); a.gap {
			gaps++
			require.Equal(t, last-1, a.at, "the first after what was left out")
		}
	}
	require.Equal(t, 1, gaps)
	require.LessOrEqual(t, len(b.ring), maxBehind)
}

// A share of the time is enough for all that comes slowly. Of more, whole stretches
// are counted, of that share together, and what they cost decides how many.
func TestAllowance(t *testing.T) {
	const second = sim.Cycle(CoreHz)
	run := func(a *allowance, every sim.Cycle, from, seconds sim.Cycle) (taken, turns int) {
		was := !a.out
		for now := from * second; now < (from+seconds)*second; now += every {
			takes := a.takes(now, 1)
			if takes {
				taken++
			}
			if takes != was {
				turns++
			}
			was = takes
		}
		return taken, turns
	}
	const share = 0.02
	a := newAllowance(share)
	taken, turns := run(&a, second/5_000, 1, 4)
	require.Equal(t, 20_000, taken, "5,000 a second at 3 us")
	require.Zero(t, turns)
	taken, turns = run(&a, second/500_000, 5, 4)
	require.InEpsilon(t, 4*share/3e-6, taken, 0.1)
	require.InDelta(t, 2*4*share/stretch.Seconds(), turns, 10)
	for range 100 {
		a.took(300*time.Nanosecond, 1)
	}
	taken, _ = run(&a, second/500_000, 9, 4)
	require.InEpsilon(t, 4*share/300e-9, taken, 0.1, "a quicker machine")
	all := newAllowance(1)
	taken, turns = run(&all, second/500_000, 1, 1)
	require.Equal(t, 500_000, taken)
	require.Zero(t, turns)
}

// With an allowance a NIC under load counts stretches of it, and says how much it has left out.
func TestModelShare(t *testing.T) {
	cfg := DefaultConfig()
	cfg.ModelShare = DefaultModelShare
	d := newDevice(t, cfg, "a", "b")
	m := d.model
	frame := []byte(datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A"))
	const frames = 120_000
	first := time.Duration(0)
	for range frames {
		d.now += CoreHz / 100_000
		d.frame(d.now, 0, &hostif.Frame{Data: append([]byte(nil), frame...)}, false)
		d.ports[1].tx = d.ports[1].tx[:0]
		if now := coreClock.Duration(d.now); m.due(now, 0) {
			if m.turn(now); first == 0 {
				first = now
			}
		}
	}
	require.InDelta(t, modelPatience, first, float64(10*time.Millisecond), "there was no pause")
	d.settle()
	s := d.Counters().ModelNS
	require.EqualValues(t, frames, s.Timed+s.Untimed)
	require.Equal(t, s.Timed, s.Frames)
	require.Greater(t, s.Timed, uint64(100), "a stretch at least")
	require.Greater(t, s.Untimed, uint64(frames/2), "it cannot be that quick")
	require.Less(t, s.Backlog, uint64(16<<20))
}

// The model has its turn when no frame has come for a while, and where too many
// wait, a part of the time.
func TestModelTurns(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b")
	m := d.model
	require.False(t, m.due(time.Second, time.Second), "nothing waits")
	frame := []byte(datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A"))
	arrive := func(n int) {
		for range n {
			d.now += 100
			d.frame(d.now, 0, &hostif.Frame{Data: append([]byte(nil), frame...)}, false)
			d.ports[1].tx = d.ports[1].tx[:0]
		}
	}
	arrive(1000)
	require.False(t, m.due(time.Second, 0), "there is traffic")
	require.True(t, m.due(time.Second, 2*modelIdle))
	arrive(modelMany)
	require.True(t, m.due(time.Second, 0))
	before := m.waiting
	m.turn(time.Second)
	require.Equal(t, before-modelSlice, m.waiting)
	require.False(t, m.due(time.Second, 0), "the traffic's turn")
	require.True(t, m.due(2*time.Second, 0))
	s := d.Counters().ModelNS
	require.EqualValues(t, 1000+modelMany, s.Frames+s.Behind)
	m.advance(d.now + 1000)
	s = d.Counters().ModelNS
	require.EqualValues(t, 1000+modelMany, s.Frames)
	require.Zero(t, s.Behind)
	require.False(t, m.due(time.Second, time.Second))
}

// What is left out is counted, and no request that it may be part of has a time.
func TestModelLeavesOut(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b")
	ask := func(seq uint32) {
		d.send("a", datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "PA", datapathtest.Seq(seq), datapathtest.Ack(seq)).Payload("?"))
	}
	answer := func(seq uint32) {
		d.send("b", datapathtest.Eth(macA, macB).IPv4("10.0.0.2", "10.0.0.1").TCP(80, 4000, "PA", datapathtest.Seq(seq), datapathtest.Ack(seq+1)).Payload("!"))
	}
	ask(1)
	answer(1)
	ask(2) // ends the first
	d.model.skips, d.model.waiting = true, d.model.waiting+maxBehind
	answer(2)
	ask(3)
	d.model.waiting -= maxBehind
	answer(3) // of an exchange whose beginning nobody saw
	ask(4)
	answer(4)
	d.settle()
	s := d.Counters().ModelNS
	require.EqualValues(t, 2, s.Untimed)
	require.EqualValues(t, 6, s.Timed)
	require.EqualValues(t, 6, s.Frames)
	require.EqualValues(t, 2, s.Requests.N, "the first and the last")
}

// A running NIC catches up once the traffic pauses.
func TestModelCatchesUp(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx, RunOptions{}) }()
	frame := []byte(datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A"))
	buf := make([]*hostif.Frame, 64)
	for sent := 0; sent < 3000; {
		n, err := d.far["a"].Send([]*hostif.Frame{{Data: append([]byte(nil), frame...)}})
		require.NoError(t, err)
		sent += n
		_, err = d.far["b"].Recv(buf)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		s, err := d.Snapshot(ctx)
		require.NoError(t, err)
		return s.ModelNS != nil && s.ModelNS.Behind == 0 && s.ModelNS.Frames == 3000
	}, 30*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}
