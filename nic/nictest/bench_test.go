package nictest_test

import (
	"testing"

	"github.com/meshnic/meshnic/nic/nictest"
)

// BenchmarkConversations holds random conversations through a switch.
func BenchmarkConversations(b *testing.B) {
	b.ReportAllocs()
	seed, frames := uint64(0), 0
	var virtual float64
	for b.Loop() {
		seed++
		r, err := nictest.Run(nictest.Random(seed), nictest.Setup{Card: aSwitch})
		if err != nil {
			b.Fatal(err)
		}
		frames += r.Frames
		virtual += r.Took.Seconds()
	}
	s := b.Elapsed().Seconds()
	b.ReportMetric(float64(seed)/s, "conversations/s")
	b.ReportMetric(float64(frames)/float64(seed), "frames/conversation")
	b.ReportMetric(s*1e9/float64(frames), "ns/frame")
	b.ReportMetric(virtual/s, "virtual-s/s")
}
