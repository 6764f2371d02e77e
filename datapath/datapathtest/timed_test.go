package datapathtest_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/card"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
)

var update = flag.Bool("update", false, "write the golden waveforms under testdata")

func skid(in, out *sim.Wire) sim.Stage { return axis.NewSkid(in, out) }

// The whole matrix over a register, a stage that makes frames longer, and one
// that makes them shorter and drops those that are too short.
func TestTimed(t *testing.T) {
	t.Run("register", func(t *testing.T) {
		RunTimed(t, Timed{
			Stage:   skid,
			Latency: func(int, int) int { return 1 },
			Cycles:  func(n, width int) int { return sim.Beats(n, width) },
			Golden:  "testdata/skid.golden", Update: *update,
		})
	})
	t.Run("push", func(t *testing.T) {
		RunTimed(t, Timed{
			Stage:   pipe(card.Config{Latency: 3, Head: 14, Push: 4}),
			Expect:  func(in Frame) (Frame, sim.Loss) { return append(make(Frame, 4), in...), sim.LossNone },
			Latency: func(n, width int) int { return 3 + sim.Beats(min(n, 14), width) - 1 },
			Cycles:  func(n, width int) int { return sim.Beats(n+4, width) },
		})
	})
	t.Run("pop", func(t *testing.T) {
		RunTimed(t, Timed{Stage: pipe(card.Config{Latency: 2, Push: -4}), Expect: strips})
	})
}

// What the harness asks of a user's stage, the stages here do too: every module
// with one input and one output in one clock.
func TestTimedModules(t *testing.T) {
	drops := module.Args{"FRAME_FIFO": 1, "DROP_WHEN_FULL": 1, "DROP_BAD_FRAME": 1, "DEPTH": 128}
	for _, tt := range []struct {
		name string
		s    Timed
	}{
		{"axis_register", Timed{Args: module.Args{"REG_TYPE": 0}}},
		{"axis_register", Timed{Args: module.Args{"REG_TYPE": 1}}},
		{"axis_pipeline_register", Timed{}},
		{"axis_fifo", Timed{}},
		{"axis_fifo", Timed{Args: module.Args{"FRAME_FIFO": 1}}},
		{"axis_fifo", Timed{Args: drops, Bad: sim.LossBad, May: []sim.Loss{sim.LossFull, sim.LossOversize}}},
		{"axis_srl_fifo", Timed{}},
		{"axis_pipeline_fifo", Timed{}},
		{"axis_adapter", Timed{Args: module.Args{"S_DATA_WIDTH": 64, "M_DATA_WIDTH": 256}}},
		{"axis_adapter", Timed{Args: module.Args{"S_DATA_WIDTH": 256, "M_DATA_WIDTH": 64}}},
		{"parser", Timed{}},
		{"match_action", Timed{}},
		{"flow_table", Timed{}},
		{"l7_scanner", Timed{}},
		{"flow_state", Timed{}},
		{"flow_state", Timed{Args: module.Args{"FLOWS": 1 << 20, "OUTSTANDING": 2}}},
		{"route_table", Timed{}},
		{"head_rewrite", Timed{Expect: longer(110)}},
		{"head_rewrite", Timed{Args: module.Args{"GROW": 3, "WRITTEN": 70, "BYTES_PER_CYCLE": 5}, Expect: longer(3)}},
		{"deparser", Timed{}},
		{"tcp_tracker", Timed{}},
		{"dma_read", Timed{}},
		{"dma_write", Timed{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, ok := pipeline.Find(tt.name)
			require.True(t, ok)
			tt.s.Module, tt.s.Lengths = m, []int{1, 9, 64, 300}
			require.NoError(t, tt.s.Check())
		})
	}
}

// longer is what leaves where so many bytes are put in front.
func longer(bytes int) func(Frame) (Frame, sim.Loss) {
	return func(in Frame) (Frame, sim.Loss) { return append(make(Frame, bytes), in...), sim.LossNone }
}

// A module that has only one width is run at that.
func TestTimedWidths(t *testing.T) {
	for _, bits := range []float64{512, 1024} {
		built := 0
		m := module.Module{Name: "m", Ports: module.Straight, Params: []module.Param{{Name: "DATA_WIDTH", Default: bits, Allowed: []float64{bits}}},
			Build: func(s *module.Site) {
				built++
				s.Add("", axis.NewSkid(s.In[0], s.Out[0]))
			}}
		err := Timed{Module: &m, Lengths: []int{64}}.Check()
		if bits == 512 {
			require.NoError(t, err)
			require.NotZero(t, built)
		} else {
			require.ErrorContains(t, err, "m on 64 bit: DATA_WIDTH is 64, want 1024")
			require.NoError(t, Timed{Module: &m, Lengths: []int{64}, Widths: []int{128}}.Check())
		}
	}
}

func TestTimedRefuses(t *testing.T) {
	find := func(name string) *module.Module {
		m, ok := pipeline.Find(name)
		require.True(t, ok, name)
		return m
	}
	for _, tt := range []struct {
		s    Timed
		want string
	}{
		{Timed{}, "one of Stage, Acting and Module"},
		{Timed{Stage: skid, Module: find("axis_fifo")}, "one of Stage, Acting and Module"},
		{Timed{Module: find("axis_fifo"), Args: module.Args{"DEEP": 1}}, "has no parameter DEEP"},
		{Timed{Module: find("axis_fifo"), Widths: []int{8, 9}}, "axis_fifo on 72 bit: DATA_WIDTH is 72, want a power of two"},
		{Timed{Stage: skid, Content: func(uint32, int) Frame { return Eth() }}, "Content(1, 1) returns 14 bytes"},
		{Timed{Module: find("axis_arb_mux")}, "has 4 inputs and 1 outputs"},
		{Timed{Module: find("axis_async_fifo"), Args: module.Args{"S_CLK_MHZ": 100, "M_CLK_MHZ": 200}}, "has two clocks"},
	} {
		require.ErrorContains(t, tt.s.Check(), tt.want)
	}
}

// failing runs this test again in another role, and returns what it prints and
// the waveform it leaves.
func failing(t *testing.T, role, run string) (out string, wave []byte) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run="+run, "-test.artifacts", "-test.outputdir="+t.TempDir())
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	b, err := cmd.CombinedOutput()
	require.Error(t, err)
	path := regexp.MustCompile(`waveform: (\S+)`).FindSubmatch(b)
	require.NotNil(t, path, string(b))
	require.True(t, filepath.IsAbs(string(path[1])))
	wave, err = os.ReadFile(string(path[1]))
	require.NoError(t, err)
	return string(b), wave
}

const roleEnv = "MESHNIC_FAILING"

// What a user sees of a failure: the rule, the wires, and a waveform that is
// kept. The test runs itself, as the test of a stage that lies.
func TestTimedFailure(t *testing.T) {
	if os.Getenv(roleEnv) == "lie" {
		RunTimed(t, Timed{Stage: storing(7, func(sim.Beat) []sim.Beat { return nil }).Stage, Widths: []int{8}, Lengths: []int{8, 60}})
		return
	}
	out, wave := failing(t, "lie", "^TestTimedFailure$/^64bit$/idle=none$/sink=alt50")
	require.Regexp(t, `64 bit, idle none, back-pressure alt50: cycle \d+: out: frame 2: bytes 40 to 47 are lost`, out)
	require.Regexp(t, `cycle +\|\d+ +\|`, out)
	require.Regexp(t, `out +tvalid \|==========\|`, out)
	require.Contains(t, string(wave), "$enddefinitions")
	require.Contains(t, string(wave), " tvalid $end")
}

// A stage that keeps all rules and has other cycles than its golden waveform.
func TestGoldenFailure(t *testing.T) {
	if os.Getenv(roleEnv) == "golden" {
		RunTimed(t, Timed{Stage: pipe(card.Config{Latency: 2}), Widths: []int{8}, Lengths: []int{8}, Golden: "testdata/skid.golden"})
		return
	}
	out, wave := failing(t, "golden", "^TestGoldenFailure$")
	require.Contains(t, out, "the waveform is not testdata/skid.golden's (Update writes it)")
	require.Contains(t, string(wave), "$enddefinitions")
}
