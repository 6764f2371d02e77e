package card_test

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/sim"
)

// A stage that acts on packets: its function is called when the headers are in.
func ExamplePipe() {
	net := &sim.Net{}
	clock := net.Clock("core", 4000, 0)
	in, out := net.Wire("in", clock, 64), net.Wire("out", clock, 64)
	drop := card.ActFunc(func(s card.Seen) (v card.Verdict) {
		if s.Frame == 2 {
			v.Loss = sim.LossVerdict
		}
		return v
	})
	net.Add("source", &sim.Source{Out: in, Feed: &sim.Frames{{ID: 1, Bytes: 60}, {ID: 2, Bytes: 60}, {ID: 3, Bytes: 60}}})
	pipe := card.NewPipe(card.Config{Latency: 5, Head: 54, Act: drop}, in, out)
	net.Add("lookup", pipe)
	always, _ := sim.NewPattern("none")
	net.Add("sink", &sim.Sink{In: out, Pattern: always})
	ticker, err := sim.NewTicker(net, nil)
	if err != nil {
		panic(err)
	}
	ticker.Run(sim.Never)
	fmt.Println(pipe.Count[sim.LossVerdict], "of 3 dropped")
	// Output: 1 of 3 dropped
}
