package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
)

// Only a soak's services wait longer than the originals.
func TestServicesWait(t *testing.T) {
	r := &Run{Options: Options{Work: "native"}}
	require.Equal(t, []string{"bookinfo", "ratings", "--listen", ":1", "--work", "native"}, r.service("ratings", ":1"))
	r.callTimeout = soakPatience
	require.Equal(t, []string{"--call-timeout", "30s"}, r.service("ratings", ":1")[6:])
}

// A soak is a failure if something was wrong, fell back, or grew.
func TestSoakGate(t *testing.T) {
	backlog := nic.Snapshot{ModelNS: &nic.ModelTime{Backlog: 80 << 20}}
	for name, tt := range map[string]struct {
		res  SoakResult
		says string
	}{
		"all is well":                {SoakResult{N: 9, HeapKiB: Memory{Early: 100_000, End: 104_000}}, ""},
		"an answer was wrong":        {SoakResult{N: 9, Errors: load.Errors{Wrong: 1}}, "1 of 10 answers"},
		"something fell back":        {SoakResult{N: 9, Fallbacks: 1}, "left 1 connections to a host"},
		"the heap grew":              {SoakResult{N: 9, HeapKiB: Memory{Early: 100_000, End: 106_000}}, "grew from 100000 to 106000 KiB"},
		"the backlog grew":           {SoakResult{N: 9, HeapKiB: Memory{Early: 100_000, End: 180_000}, NIC: backlog}, ""},
		"more grew than the backlog": {SoakResult{N: 9, HeapKiB: Memory{Early: 100_000, End: 200_000}, NIC: backlog}, "grew from 100000 to 200000 KiB"},
		"of two the first is enough": {SoakResult{N: 9, Errors: load.Errors{Missing: 1}, Fallbacks: 1}, "1 of 10 answers"},
	} {
		err := tt.res.gate()
		if tt.says == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, tt.says, name)
		require.Equal(t, failure.Gate, failure.KindOf(err), name)
	}
}
