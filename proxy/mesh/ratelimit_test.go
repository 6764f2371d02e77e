package mesh

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBucket(t *testing.T) {
	for _, tt := range []struct {
		name      string
		max, fill uint32
		every     time.Duration
		at        []time.Duration
		want      string // + for a token, - for none
	}{
		{"begins full", 3, 1, time.Second, []time.Duration{0, 0, 0, 0}, "+++-"},
		{"one a second", 1, 1, time.Second, []time.Duration{0, 999 * time.Millisecond, time.Second, 1999 * time.Millisecond, 2 * time.Second}, "+-+-+"},
		{"spread over the interval", 10, 10, time.Second, []time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond}, "++++++++++-+-+"},
		{"holds no more than it may", 2, 1, time.Second, []time.Duration{0, 0, 0, time.Hour, time.Hour, time.Hour}, "++-++-"},
		{"parts of tokens add up", 1, 2, 3 * time.Second, []time.Duration{0, time.Second, 1500 * time.Millisecond, 2999 * time.Millisecond, 3 * time.Second}, "+-+-+"},
		{"time that runs back", 1, 1, time.Second, []time.Duration{time.Hour, 0, time.Hour, time.Hour + time.Second}, "+--+"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, got := NewBucket(&RateLimit{Max: tt.max, Fill: tt.fill, Interval: tt.every}), ""
			for _, at := range tt.at {
				if b.Take(int64(at)) {
					got += "+"
				} else {
					got += "-"
				}
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// However many take at once, each token is taken once.
func TestBucketIsShared(t *testing.T) {
	b := NewBucket(&RateLimit{Max: 1000, Fill: 1, Interval: time.Hour})
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if b.Take(1) {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1000, taken.Load())
	require.Zero(t, testing.AllocsPerRun(100, func() { b.Take(2) }))
}

func TestFraction(t *testing.T) {
	never := func() uint64 { t.Error("drawn"); return 0 }
	require.False(t, Fraction{}.Draw(never))
	require.True(t, Fraction{Numerator: 100}.Draw(never))
	require.True(t, Fraction{Numerator: 2_000_000, Denominator: "MILLION"}.Draw(never))
	for _, f := range []Fraction{{25, ""}, {25, "HUNDRED"}, {2500, "TEN_THOUSAND"}, {250_000, "MILLION"}} {
		draw, in := rand.NewPCG(1, 2).Uint64, 0
		for range 100_000 {
			if f.Draw(draw) {
				in++
			}
		}
		require.InDelta(t, 25_000, in, 600, f) // four standard deviations
	}
	require.True(t, Fraction{25, ""}.Draw(func() uint64 { return 124 }))
	require.False(t, Fraction{25, ""}.Draw(func() uint64 { return 125 }))
}

func TestRateLimitCounts(t *testing.T) {
	var c LimitCounters
	l := compileLimit(&RateLimit{StatPrefix: "p", Max: 1, Fill: 1, Interval: time.Hour, Enabled: Fraction{Numerator: 50}, Enforced: Fraction{Numerator: 50}})
	b, n := NewBucket(l.RateLimit), []uint64{99, 0, 0, 99, 0, 0}
	draw := func() uint64 { x := n[0]; n = n[1:]; return x }
	require.Nil(t, l.Allow(b, 0, draw, &c)) // not looked at
	require.Nil(t, l.Allow(b, 0, draw, &c)) // has the token
	require.Nil(t, l.Allow(b, 0, draw, &c)) // has none, and goes on
	r := l.Allow(b, 0, draw, &c)
	require.Equal(t, 429, r.Status)
	require.Equal(t, LimitCounters{Enabled: 3, Enforced: 1, OK: 1, Limited: 2}, c)
}
