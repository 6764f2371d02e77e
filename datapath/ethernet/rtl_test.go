package ethernet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// recorded is a line of testdata/rtl.jsonl: what the cited Verilog did, beat by
// beat, when Icarus Verilog 11 simulated chains of these modules with random
// lengths, gaps, back-pressure, lanes, phases and wrong FCSs. Times count from
// edge 64 of the first clock, at which the first beat is offered.
type recorded struct {
	Stages []struct {
		Module string      `json:"module"`
		Params module.Args `json:"params"`
	} `json:"stages"`
	MHz       float64     `json:"mhz"`
	PhasePS   sim.Picos   `json:"phase_ps"` // of the second clock
	Sink      string      `json:"sink"`
	Lane      int         `json:"lane"`
	Deficit   int         `json:"deficit"`
	Gap       sim.Cycle   `json:"gap"`
	Bytes     []int       `json:"bytes"`
	Bad       []int       `json:"bad"` // indices of frames with a wrong FCS
	InBeats   int         `json:"in_beats"`
	InDigest  string      `json:"in_digest"` // FNV-1a of the cycles in which beats were accepted
	OutBeats  int         `json:"out_beats"`
	OutLast   []sim.Picos `json:"out_last_ps"` // when last beats were accepted
	OutDigest string      `json:"out_digest"`  // of time, bytes, last and bad of each beat; of time, bytes, START, TERMINATE and lane of each word
}

const firstEdge = 64

func (r recorded) bench(t testing.TB, engine string) *bench {
	period, err := sim.PeriodOf(r.MHz)
	require.NoError(t, err)
	b := &bench{args: map[string]module.Args{}, frames: train(len(r.Bytes), r.Bytes...), sink: r.Sink, lane: r.Lane,
		deficit: r.Deficit, mhz: r.MHz, phase: [2]sim.Picos{period / 2, r.PhasePS}, engine: engine}
	for _, s := range r.Stages {
		b.chain = append(b.chain, s.Module)
		b.args[s.Module] = s.Params
	}
	for i := range b.frames {
		if i > 0 {
			b.frames[i].Gap = r.Gap
		} else {
			b.frames[i].At = period/2 + firstEdge*period
		}
	}
	for _, i := range r.Bad {
		b.frames[i].Bad = true
	}
	if strings.HasSuffix(b.chain[len(b.chain)-1], "tx)") || strings.HasPrefix(b.chain[len(b.chain)-1], "axis_xgmii_tx") {
		b.sink = "none"
	}
	return b
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func digest(words []string) string {
	h := fnv.New64a()
	h.Write([]byte(strings.Join(words, " ")))
	return fmt.Sprintf("%016x", h.Sum64())
}

// TestAgainstRTL asks both engines for the very edges of every beat of the
// Verilog.
func TestAgainstRTL(t *testing.T) {
	f, err := os.Open("testdata/rtl.jsonl")
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r recorded
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
		for _, engine := range []string{"tick", "maxplus"} {
			b := r.bench(t, engine)
			name := fmt.Sprint(b.chain, " ", engine, " ", r.Sink)
			b.run(t)
			var in, out []string
			if _, line := b.source.(*LineSource); !line {
				for _, e := range b.in() {
					if e.accepted == never {
						break // a payload FIFO smaller than a datagram stops for good
					}
					in = append(in, fmt.Sprint(e.accepted-firstEdge))
				}
			}
			zero := b.wires[0].Clock.At(firstEdge)
			var last []sim.Picos
			w := b.wires[len(b.wires)-1]
			for _, e := range b.out() {
				if e.accepted == never {
					break
				}
				x, at := e.beat, w.Clock.At(e.accepted)-zero
				if x.Last {
					last = append(last, at)
				}
				if _, ports := find(t, b.chain[len(b.chain)-1]).Ports(b.filled(t)); ports[0].XGMII {
					out = append(out, fmt.Sprintf("%d,%d,%d,%d,%d", at, x.Bytes, bit(x.First), bit(x.Last), x.Lane))
				} else {
					out = append(out, fmt.Sprintf("%d,%d,%d,%d", at, x.Bytes, bit(x.Last), bit(x.Bad)))
				}
			}
			require.Equal(t, r.OutLast, last, name)
			require.Equal(t, r.OutBeats, len(out), name)
			require.Equal(t, r.OutDigest, digest(out), name)
			require.Equal(t, r.InBeats, len(in), name)
			require.Equal(t, r.InDigest, digest(in), name)
		}
	}
}
