package sim_test

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath/sim"
)

func ExampleClock_Duration() {
	fmt.Println(sim.Clock{Hz: 250_000_000}.Duration(24))
	// Output: 96ns
}
