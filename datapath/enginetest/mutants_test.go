package enginetest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/sim"
)

// lateSkid shows every fifth frame a cycle late under the fast engine.
type lateSkid struct{ *axis.Skid }

func (lateSkid) Flow(in, out []*sim.Chan) sim.Flow { return &lateFlow{in[0], out[0]} }

type lateFlow struct{ in, out *sim.Chan }

func (f *lateFlow) Run() bool {
	for f.in.Next() && f.out.Room() && f.in.Read() < f.out.Taken()+2 {
		at := max(f.in.Shown(), f.out.Done(f.in.Read()-2))
		late := sim.Cycle(1)
		if f.in.Head().Frame%5 == 0 {
			late = 2
		}
		f.out.Put(at+late, f.in.Head())
		f.in.Accept(at)
	}
	return false
}

// modestFIFO tells of a level that is a byte too low.
type modestFIFO struct{ *axis.FIFO }

func (f modestFIFO) Flow(in, out []*sim.Chan) sim.Flow {
	flow := f.FIFO.Flow(in, out)
	if p, ok := flow.(sim.Peak); ok {
		if _, decides := flow.(sim.Decider); !decides {
			return modestFlow{flow, p}
		}
	}
	return flow
}

type modestFlow struct {
	sim.Flow
	sim.Peak
}

func (f modestFlow) Highest() int { return f.Peak.Highest() - 1 }

// forgetful hears nothing of frames that were too long.
type forgetful struct{ sim.Observer }

func (f forgetful) Dropped(stage int, t sim.Picos, frame uint32, why sim.Loss) {
	if why != sim.LossOversize {
		f.Observer.Dropped(stage, t, frame, why)
	}
}

// An engine that is wrong in one of these ways is found out within 3,000 cases,
// and the case that shows it shrinks to two stages or fewer.
func TestMutantsAreFound(t *testing.T) {
	replace := func(with func(s sim.Stage) sim.Stage) func(*sim.Net) {
		return func(net *sim.Net) {
			for i, s := range net.Stages {
				net.Stages[i] = with(s)
			}
		}
	}
	for name, b := range map[string]*bench{
		"a cycle late": {spoil: replace(func(s sim.Stage) sim.Stage {
			if r, ok := s.(*axis.Skid); ok {
				return lateSkid{r}
			}
			return s
		})},
		"a level too low": {spoil: replace(func(s sim.Stage) sim.Stage {
			if f, ok := s.(*axis.FIFO); ok {
				return modestFIFO{f}
			}
			return s
		})},
		"a loss untold": {between: func(see sim.Observer) sim.Observer { return forgetful{see} }},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 3000; seed++ {
				c := draw(seed)
				if b.diff(c) == "" {
					continue
				}
				small := b.shrink(c, 2000)
				require.NotEmpty(t, b.diff(small))
				require.LessOrEqual(t, len(small.Pipeline.Stages), 2, small.GoTest("Shrunk"))
				frames := 0
				for _, s := range small.Sources {
					frames += len(s.Frames)
				}
				require.LessOrEqual(t, frames, 3, small.GoTest("Shrunk"))
				require.Empty(t, small.Diff(), "the engines themselves agree")
				return
			}
			t.Fatal("not found")
		})
	}
}

// What is printed for a case is a test that builds and passes where the engines
// agree, and gives the same case: its digest says so.
func TestPrintedCaseIsATest(t *testing.T) {
	c := draw(4243)
	want, err := c.Digest()
	require.NoError(t, err)
	dir := t.TempDir()
	here, err := os.Getwd()
	require.NoError(t, err)
	file := filepath.Join(dir, "printed_test.go")
	text := c.GoTest("Printed")
	require.Contains(t, text, "require.Empty(t, c.Diff())")
	printed := strings.Replace(text, "require.Empty(t, c.Diff())", "require.Empty(t, c.Diff())\nd, err := c.Digest()\nrequire.NoError(t, err)\nprintln(\"digest\", d)", 1)
	require.NoError(t, os.WriteFile(file, []byte(printed), 0o644))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "printed_test.go"): file}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644))
	out, err := exec.Command("go", "test", "-overlay", filepath.Join(dir, "overlay.json"), "-run", "^TestPrinted$", "-v", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestPrinted")
	require.Contains(t, string(out), "digest "+strconv.FormatUint(want, 10))
}
