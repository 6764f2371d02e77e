package datapathtest_test

import (
	"fmt"
	"strings"

	"github.com/meshnic/meshnic/datapath/axis"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
)

// A register slice with one place passes a beat every second cycle, whatever is
// said of it. In a test, RunTimed says so too, and leaves a waveform.
func ExampleTimed_Check() {
	slice := Timed{
		Stage:  func(in, out *sim.Wire) sim.Stage { return axis.NewSlice(in, out) },
		Cycles: func(n, width int) int { return sim.Beats(n, width) },
		Widths: []int{64},
	}
	what, _, _ := strings.Cut(slice.Check().Error(), "\n")
	fmt.Println(what)
	// Output: 512 bit, idle none, back-pressure none: cycle 33: 16 frames of 1 bytes take 32 cycles, 2.00 each, Cycles says 1
}
