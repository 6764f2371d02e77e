package ethernet_test

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath/ethernet"
	"github.com/meshnic/meshnic/datapath/sim"
)

// A frame from the line to its payload: 10G receive MAC and header strip.
func Example() {
	net := &sim.Net{}
	clk := net.Clock("rx", 6400, 0) // 156.25 MHz
	line, frames, payload := net.Wire("line", clk, 8), net.Wire("frames", clk, 8), net.Wire("payload", clk, 8)

	net.Add("source", &ethernet.LineSource{Out: line, Feed: &sim.Frames{{ID: 1, Bytes: 60}}})
	net.Add("mac", ethernet.NewRX64(line, frames))
	net.Add("strip", ethernet.NewAxisRx(frames, payload))
	always, _ := sim.NewPattern("none")
	net.Add("sink", &sim.Sink{In: payload, Pattern: always})

	engine, err := sim.NewTicker(net, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for engine.Step(sim.Picos(1e9)) {
		if payload.Valid {
			fmt.Printf("cycle %d: bytes %d to %d\n", clk.Now-1, payload.Beat.Off, payload.Beat.Off+int32(payload.Beat.Bytes)-1)
		}
	}
	// Output:
	// cycle 7: bytes 14 to 21
	// cycle 8: bytes 22 to 29
	// cycle 9: bytes 30 to 37
	// cycle 10: bytes 38 to 45
	// cycle 11: bytes 46 to 53
	// cycle 12: bytes 54 to 59
}
