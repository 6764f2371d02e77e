package trace_test

import (
	"fmt"
	"os"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

func Example() {
	net := &sim.Net{}
	core := net.Clock("core", 4000, 0)
	rx, tx := net.Wire("rx", core, 8), net.Wire("tx", core, 8)
	net.Add("source", &sim.Source{Out: rx, Feed: &sim.Frames{{ID: 1, Bytes: 64}, {ID: 2, Bytes: 64}}})
	net.Add("register", axis.NewSkid(rx, tx))
	always, _ := sim.NewPattern("none")
	net.Add("sink", &sim.Sink{In: tx, Pattern: always})

	frames := trace.NewFrames(net, func(f *trace.Frame) {
		fmt.Printf("id=%d in %v ns, out %v ns\n", f.ID, f.InNs, f.OutNs)
	})
	falls := trace.NewWaterfall(net, trace.WaterfallConfig{})
	engine, err := sim.NewTicker(net, trace.Tee(frames, falls))
	if err != nil {
		panic(err)
	}
	engine.Run(1e9)
	frames.Close()
	falls.Close()
	_ = falls.Result().Table(os.Stdout)
	// Output:
	// id=1 in 0 ns, out 32 ns
	// id=2 in 32 ns, out 64 ns
	//       stage  frames  p50_ns  p99_ns  max_ns  mean_ns  pass_ns  queue_ns  store_forward_ns  blocked_ns
	//      source       2      28      28      28   28.000   28.000     0.000             0.000       0.000
	//    register       2       4       4       4    4.000    4.000     0.000             0.000       0.000
	//   remainder       2       0       0       0    0.000        -         -                 -           -
	//       total       2      32      32      32   32.000        -         -                 -           -
}
