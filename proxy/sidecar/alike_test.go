//go:build linux

package sidecar

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/conformance"
)

// pair is what the real Envoy shows of something, and what we do.
type pair struct{ envoy, ours string }

// alike has play show each of all with both, in the way of conformance.Again.
func alike[Story any](all []Story, play func(some []Story, longer time.Duration) []pair) []pair {
	return conformance.Again(all, play, func(_ Story, p pair) bool { return p.envoy == p.ours })
}

// likewise is alike for one story, and requires it.
func likewise(t *testing.T, play func() pair) (both string) {
	t.Helper()
	p := alike([]int{0}, func([]int, time.Duration) []pair { return []pair{play()} })[0]
	require.Equal(t, p.envoy, p.ours)
	return p.ours
}
