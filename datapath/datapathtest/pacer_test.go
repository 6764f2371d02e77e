package datapathtest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Pacer begins a frame no earlier than Gap cycles after the frame before it has
// left. It holds two beats, so that one passes every cycle.
type Pacer struct {
	In, Out *sim.Wire
	Gap     sim.Cycle

	beats [2]sim.Beat
	n     int
	from  sim.Cycle // no first beat is offered before this edge
}

func (p *Pacer) Ports() (in, out []*sim.Wire) { return []*sim.Wire{p.In}, []*sim.Wire{p.Out} }

func (p *Pacer) Offer() {
	p.Out.Put(p.n > 0 && (!p.beats[0].First || p.from <= p.Out.Clock.Now), p.beats[0])
}

func (p *Pacer) Accept() { p.In.Take(p.n < 2) }

func (p *Pacer) Edge(sim.Edges) bool {
	put, got := p.In.Fire(), p.Out.Fire()
	if got {
		if p.beats[0].Last {
			p.from = p.Out.Clock.Now + 1 + p.Gap
		}
		p.beats[0] = p.beats[1]
		p.n--
	}
	if put {
		p.beats[p.n] = p.In.Beat
		p.n++
	}
	return put || got
}

// Wake is when the gap ends, if a frame waits for it.
func (p *Pacer) Wake() sim.Picos {
	if p.n == 0 || !p.beats[0].First || p.from < p.Out.Clock.Now {
		return sim.Never
	}
	return p.Out.Clock.At(p.from)
}

// Flow is the same for the maxplus engine.
func (p *Pacer) Flow(in, out []*sim.Chan) sim.Flow {
	return &pacerFlow{in: in[0], out: out[0], gap: p.Gap}
}

type pacerFlow struct {
	in, out *sim.Chan
	gap     sim.Cycle
	k       uint64 // number of the next beat
}

func (f *pacerFlow) Run() bool {
	moved := false
	for f.in.Next() && f.out.Room() {
		first := f.in.Head().First && f.k > 0
		if f.out.Taken()+2 <= f.k || first && f.out.Taken() < f.k {
			break // it is not known yet when the beat before has left
		}
		at := max(f.in.Shown(), f.out.Done(f.k-2)) // a place is free
		from := at + 1                             // a register
		if first {
			from = max(from, f.out.Done(f.k-1)+f.gap)
		}
		f.out.Put(from, f.in.Head())
		f.in.Accept(at)
		f.k++
		moved = true
	}
	return moved
}

var pacer = module.Module{
	Name: "pacer", Doc: "leaves GAP cycles between frames", Source: "by construction",
	Params: []module.Param{module.Width("DATA_WIDTH"), module.Count("GAP", 12, 0, 1024, "cycles between frames")},
	Ports:  module.Straight,
	Build: func(s *module.Site) {
		s.Add("", &Pacer{In: s.In[0], Out: s.Out[0], Gap: sim.Cycle(s.Args.Int("GAP"))})
	},
}

func TestPacer(t *testing.T) {
	RunTimed(t, Timed{
		Module:  &pacer,
		Args:    module.Args{"GAP": 5},
		Latency: func(int, int) int { return 1 },
		Cycles:  func(n, width int) int { return sim.Beats(n, width) + 5 },
	})
}

// The code in docs/stages.md is code that is compiled and tested.
func TestDocumentedCode(t *testing.T) {
	doc, err := os.ReadFile("../../docs/stages.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)<!-- from (\\S+) -->\n```go\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	require.Len(t, blocks, strings.Count(string(doc), "```go"), "each block says where it is from")
	require.Greater(t, len(blocks), 5)
	for _, b := range blocks {
		source, err := os.ReadFile(filepath.Join("../..", b[1]))
		require.NoError(t, err)
		require.Contains(t, string(source), b[2], "docs/stages.md, of %s", b[1])
	}
}
