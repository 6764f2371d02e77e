package corundum_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
)

// recorded is a line of testdata/rtl.jsonl: what the cited Verilog did, beat by
// beat, when Icarus Verilog 11 simulated it with random parameters, frames,
// back-pressure, clocks and phases, alone and in a row with other modules.
// Times count from edge 64 of the first clock, at which the first beat is
// offered. Where a row ends in a tap, what comes out is its results.
type recorded struct {
	Stages    []stage     `json:"stages"`
	MHz       float64     `json:"mhz"`
	PhasePS   sim.Picos   `json:"phase_ps"`
	Sink      string      `json:"sink"`
	Bytes     []int       `json:"bytes"`
	Gap       sim.Cycle   `json:"gap"`
	InBeats   int         `json:"in_beats"`
	InDigest  string      `json:"in_digest"` // FNV-1a of the cycles in which beats were accepted
	OutBeats  int         `json:"out_beats"`
	OutLast   []sim.Picos `json:"out_last_ps"` // when last beats were accepted
	OutDigest string      `json:"out_digest"`  // of accepted, bytes, last, bad of each; of a tap's results, of accepted
}

func (r recorded) chain() chain {
	c := chain{stages: r.Stages, mhz: r.MHz, phase: r.PhasePS, sink: r.Sink, frames: frames(r.Bytes...)}
	for i := range c.frames {
		c.frames[i].Gap = r.Gap
	}
	p, _ := sim.PeriodOf(r.MHz)
	c.frames[0].At, c.frames[0].Gap = p/2+64*p, 0
	return c
}

func recordings(t testing.TB) (all []recorded) {
	f, err := os.Open("testdata/rtl.jsonl")
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r recorded
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
		all = append(all, r)
	}
	require.NotEmpty(t, all)
	return all
}

func digest(words []string) string {
	h := fnv.New64a()
	h.Write([]byte(strings.Join(words, " ")))
	return fmt.Sprintf("%016x", h.Sum64())
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestAgainstRTL asks for the very edge of every beat.
func TestAgainstRTL(t *testing.T) {
	for i, r := range recordings(t) {
		last := r.Stages[len(r.Stages)-1].Module
		t.Run(fmt.Sprintf("%d_%s_%s", i+1, r.Stages[0].Module, last), func(t *testing.T) {
			c := r.chain()
			s := c.run(t)
			require.True(t, s.rest)
			start := c.frames[0].At
			var in, out []string
			lasts := []sim.Picos{}
			for _, m := range s.in {
				in = append(in, fmt.Sprint(s.cycles(start, m.accepted)))
			}
			for _, m := range s.out {
				if b := m.beat; last == "rx_hash" || last == "rx_checksum" {
					out = append(out, fmt.Sprint(int64(m.accepted-start)))
				} else {
					out = append(out, fmt.Sprintf("%d,%d,%d,%d", m.accepted-start, b.Bytes, bit(b.Last), bit(b.Bad)))
				}
				if m.beat.Last {
					lasts = append(lasts, m.accepted-start)
				}
			}
			require.Equal(t, r.OutLast, lasts, "%+v", r)
			require.Equal(t, r.OutBeats, len(out))
			require.Equal(t, r.OutDigest, digest(out))
			require.Equal(t, r.InBeats, len(in))
			require.Equal(t, r.InDigest, digest(in))
		})
	}
}
