package netfpga_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
)

// recorded is a line of testdata/rtl.jsonl: what the cited Verilog did when
// Icarus Verilog 11 simulated it with random frames. Cycles count from the one
// in which input 0's first beat is offered, the 64th of the simulation; the
// reset lasts 16. Frames are numbered from 1, input after input.
type recorded struct {
	Blocks []block `json:"stages"`
	Sink   string  `json:"sink"`
	Inputs []struct {
		Offset sim.Cycle `json:"offset"`
		Gap    sim.Cycle `json:"gap"`
		Bytes  []int     `json:"bytes"`
		Dest   []uint8   `json:"dest"`
	} `json:"inputs"`
	Accepted []string               `json:"accepted"` // FNV-1a of the cycles in which each input's beats were accepted
	Out      string                 `json:"out"`      // of those of the followed output
	Frames   []uint32               `json:"frames"`   // there
	Last     []sim.Cycle            `json:"last"`     // their last beats
	Others   map[string][]sim.Cycle `json:"others"`   // last beats at the outputs of a module alone
}

const benchStart = 64

func (c recorded) row() row {
	r := row{blocks: c.Blocks, sink: c.Sink}
	id := uint32(1)
	for _, in := range c.Inputs {
		var fs []sim.Frame
		for k, n := range in.Bytes {
			f := sim.Frame{ID: id, Bytes: n, Dest: in.Dest[k], At: sim.Picos(benchStart+in.Offset) * 4000}
			if id++; k > 0 {
				f.Gap = in.Gap
			}
			fs = append(fs, f)
		}
		r.inputs = append(r.inputs, fs)
	}
	return r
}

// TestAgainstRTL asks for the very cycle of every beat at every input and at
// the followed output, and of every frame at the others.
func TestAgainstRTL(t *testing.T) {
	f, err := os.Open("testdata/rtl.jsonl")
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var c recorded
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		t.Run(fmt.Sprintf("%d_%s", n, c.Blocks[0].Module), func(t *testing.T) {
			b, trace := c.row().run(t)
			frames, last := arrived(trace, b.out[0])
			require.Equal(t, c.Frames, append([]uint32{}, frames...))
			require.Equal(t, c.Last, since(last))
			at, _ := accepted(trace, b.out[0])
			require.Equal(t, c.Out, digest(since(at)))
			for i, want := range c.Accepted {
				at, _ := accepted(trace, b.in[i])
				require.Equal(t, want, digest(since(at)), "input %d", i)
			}
			if len(c.Blocks) > 1 {
				return
			}
			o := 1
			for port := range b.out {
				if port == c.Blocks[0].Out {
					continue
				}
				_, last := arrived(trace, b.out[o])
				require.ElementsMatch(t, c.Others[fmt.Sprint(port)], since(last), "output %d", port)
				o++
			}
		})
	}
	require.NoError(t, lines.Err())
}

// since are cycles counted from benchStart.
func since(at []sim.Cycle) []sim.Cycle {
	from := []sim.Cycle{}
	for _, c := range at {
		from = append(from, c-benchStart)
	}
	return from
}
