//go:build linux

package xdp

import (
	"cmp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stretch is traffic of one kind: Sends of so many frames, so far apart.
type stretch struct {
	frames   []int // one after the other, and again
	every, d time.Duration
	bytes    int  // of each; 0: 1,000
	came     int  // full frames received before each Send
	idle     bool // nothing is sent, and Recv finds nothing
	on       bool // at the end of it
	switches int  // during it
}

var (
	lone = stretch{frames: []int{1}, every: 15 * time.Microsecond, d: 300 * time.Millisecond}
	bulk = stretch{frames: []int{64}, every: 100 * time.Microsecond, d: 300 * time.Millisecond, on: true, switches: 1}
)

func TestPolicy(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for _, tt := range []struct {
		name    string
		traffic []stretch
	}{
		{"ping-pong of one", []stretch{lone}},
		{"ping-pong of four", []stretch{{frames: []int{4, 3, 4, 1}, every: 40 * us, d: time.Second}}},
		{"eight connections", []stretch{{frames: []int{7, 8, 6}, every: 80 * us, d: time.Second}}},
		{"sixteen connections", []stretch{{frames: []int{14, 13, 15}, every: 250 * us, d: time.Second}}},
		{"32 connections, within 10 ms", []stretch{{frames: []int{24, 27}, every: 500 * us, d: 10 * ms, on: true, switches: 1}}},
		{"64 connections, within 10 ms", []stretch{{frames: []int{50, 64, 40}, every: 900 * us, d: 10 * ms, on: true, switches: 1}}},
		{"bulk, within 10 ms", []stretch{{frames: []int{64}, every: 100 * us, d: 10 * ms, on: true, switches: 1}}},
		{"acknowledgements of bulk", []stretch{{frames: []int{2, 3}, every: 100 * us, d: time.Second}}},
		{"bulk among lone frames", []stretch{{frames: []int{64, 1, 1, 1, 1, 1, 1}, every: 20 * us, d: time.Second}}},
		{"one burst, as of a file of 100 KB", []stretch{{frames: []int{24}, every: 300 * us, d: ms}, {idle: true, every: ms, d: 50 * ms}, lone}},
		{"bursts with pauses", []stretch{{frames: []int{64}, every: 10 * ms, d: time.Second}}},
		{"few frames, however they come", []stretch{{frames: []int{20}, every: 1900 * us, d: time.Second}}},
		{"bulk, then lone frames", []stretch{bulk, {frames: []int{1}, every: 15 * us, d: 30 * ms, switches: 1}, lone}},
		{"bulk, then nothing", []stretch{bulk, {idle: true, every: ms, d: 17 * ms, switches: 1}, {idle: true, every: 20 * ms, d: time.Second}}},
		{"64 connections, then sixteen, then eight", []stretch{
			bulk, {frames: []int{14, 13, 15}, every: 250 * us, d: time.Second, on: true}, {frames: []int{7, 8, 6}, every: 120 * us, d: 50 * ms, switches: 1}}},
		{"64 connections, the processor taken away in between", []stretch{
			bulk, {idle: true, every: 30 * ms, d: 30 * ms, on: true}, {frames: []int{40}, every: 20 * ms, d: 200 * ms, on: true}, {idle: true, every: 20 * ms, d: 80 * ms, switches: 1}}},
		{"a pause, then lone frames that Recv did not see coming", []stretch{bulk, {frames: []int{1}, every: 6 * ms, d: 30 * ms, switches: 1}}},
		{"to and fro is slowed down", []stretch{
			bulk, {frames: []int{1}, every: 15 * us, d: 5 * ms, switches: 1}, // on for long: off at once
			{frames: []int{64}, every: 100 * us, d: 40 * ms}, // rests
			{frames: []int{64}, every: 100 * us, d: 10 * ms, on: true, switches: 1},
			{frames: []int{1}, every: 15 * us, d: 10 * ms, on: true}, // stays
			{frames: []int{1}, every: 15 * us, d: 15 * ms, switches: 1},
		}},
		{"acknowledgements of bulk, one at a time", []stretch{{frames: []int{1}, bytes: 66, came: 64, every: 200 * us, d: time.Second}}},
	} {
		t.Run(tt.name, func(t *testing.T) { play(t, policy{}, tt.traffic) })
	}
}

// With several cores only full frames speak for a thread, and those that come do too.
func TestPolicyOfSeveralCores(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for _, tt := range []struct {
		name    string
		traffic []stretch
	}{
		{"bulk", []stretch{bulk, {frames: []int{1}, every: 15 * us, d: 30 * ms, switches: 1}, lone}},
		{"acknowledgements of bulk", []stretch{
			{frames: []int{1}, bytes: 66, came: 64, every: 200 * us, d: 10 * ms, on: true, switches: 1},
			{frames: []int{1}, bytes: 66, every: 200 * us, d: 30 * ms, switches: 1}}},
		{"few of them at a time", []stretch{{frames: []int{1}, bytes: 66, came: 3, every: 30 * us, d: time.Second}}},
		{"small frames", []stretch{{frames: []int{50, 64, 40}, bytes: 424, every: 900 * us, d: time.Second}}},
		{"bulk, then small frames", []stretch{bulk, {frames: []int{50, 64, 40}, bytes: 424, every: 900 * us, d: time.Second, switches: 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) { play(t, policy{several: true, full: 757}, tt.traffic) })
	}
}

func play(t *testing.T, p policy, traffic []stretch) {
	now := time.Hour
	for i, s := range traffic {
		switches := 0
		for k, end := 0, now+s.d; now < end; k++ {
			was, switched := p.on, false
			if s.idle {
				switched = p.idle(now)
			} else {
				n := s.frames[k%len(s.frames)]
				bytes := n * cmp.Or(s.bytes, 1000)
				p.received(s.came, s.came*1514)
				if !p.few(n, bytes) {
					switched = p.sent(now, n, bytes)
				}
			}
			require.Equal(t, was != p.on, switched)
			if switched {
				switches++
			}
			now += s.every
		}
		require.Equal(t, s.on, p.on, "stretch %d", i)
		require.Equal(t, s.switches, switches, "stretch %d", i)
	}
}
