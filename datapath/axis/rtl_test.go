package axis_test

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
// back-pressure, clocks and phases, small memories and every drop mode. Times
// count from edge 64 of the first clock, at which the first beat is offered.
type recorded struct {
	Stages    []stage     `json:"stages"`
	MHz       float64     `json:"mhz"`
	PhasePS   sim.Picos   `json:"phase_ps"`
	Sink      string      `json:"sink"`
	Bytes     []int       `json:"bytes"`
	Bad       []int       `json:"bad"`  // indices of frames marked bad
	Gaps      []sim.Cycle `json:"gaps"` // before frames, over and over
	InBeats   int         `json:"in_beats"`
	InDigest  string      `json:"in_digest"` // FNV-1a of the cycles in which beats were accepted
	OutBeats  int         `json:"out_beats"`
	OutLast   []sim.Picos `json:"out_last_ps"` // when last beats were accepted
	OutDigest string      `json:"out_digest"`  // of offered, accepted, bytes, last, bad of each
	Peak      *int        `json:"max_occupancy"`
	Overflow  int         `json:"overflow"`
	BadFrame  int         `json:"bad_frame"`
}

func (r recorded) chain() chain {
	c := chain{stages: r.Stages, mhz: r.MHz, phase: r.PhasePS, sink: r.Sink, frames: frames(r.Bytes...)}
	for i := range c.frames[1:] {
		c.frames[i+1].Gap = r.Gaps[(i+1)%len(r.Gaps)]
	}
	for _, i := range r.Bad {
		c.frames[i].Bad = true
	}
	p, _ := sim.PeriodOf(r.MHz)
	c.frames[0].At = p/2 + 64*p
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

// TestAgainstRTL asks for the very edges of every beat, the highest level and
// the dropped frames of the Verilog.
func TestAgainstRTL(t *testing.T) {
	for i, r := range recordings(t) {
		t.Run(fmt.Sprintf("%d_%s", i+1, r.Stages[0].Module), func(t *testing.T) {
			c := r.chain()
			s := c.run(t)
			require.True(t, s.rest)
			start, period := c.frames[0].At, s.src.Clock.Period
			var in, out []string
			last := []sim.Picos{}
			for _, m := range s.in {
				in = append(in, fmt.Sprint(int64((m.accepted-start)/period)))
			}
			for _, m := range s.out {
				out = append(out, fmt.Sprintf("%d,%d,%d,%d,%d", m.offered-start, m.accepted-start, m.beat.Bytes, bit(m.beat.Last), bit(m.beat.Bad)))
				if m.beat.Last {
					last = append(last, m.accepted-start)
				}
			}
			require.Equal(t, r.OutLast, last, "%+v", r)
			require.Equal(t, r.OutBeats, len(out))
			require.Equal(t, r.OutDigest, digest(out))
			require.Equal(t, r.InBeats, len(in))
			require.Equal(t, r.InDigest, digest(in))
			if r.Peak == nil || len(r.Stages) > 1 {
				return
			}
			require.Equal(t, *r.Peak, s.peak)
			bad := 0
			for _, l := range s.lost {
				bad += bit(l.why == sim.LossBad)
			}
			require.Equal(t, r.BadFrame, bad)
			if r.Stages[0].Params["MARK_WHEN_FULL"] == 0 {
				require.Equal(t, r.Overflow, len(s.lost)-bad)
			}
		})
	}
}
