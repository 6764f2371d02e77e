package pipeline_test

import (
	"encoding/json"
	"fmt"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/pipeline"
)

// A chain, driven through a sink that is ready every other cycle.
func Example() {
	d := pipeline.Description{Stages: []pipeline.Stage{
		pipeline.Of("axis_fifo", module.Args{"DATA_WIDTH": 64, "DEPTH": 4096, "RAM_PIPELINE": 1}),
		pipeline.Of("axis_register", module.Args{"DATA_WIDTH": 64}),
	}}
	r, err := d.Run(pipeline.Traffic{Bytes: 60, Frames: 8, Sink: "alt50"})
	if err != nil {
		panic(err)
	}
	fmt.Println(*r.FirstLatency, *r.CyclesPerFrame, r.Drops)
	// Output: 4 16 0
}

// Two ports with a FIFO each share an output in another clock. Names make a graph
// of the list; JSON of a description is a pipeline file.
func ExampleDescription() {
	fifo := module.Args{"DATA_WIDTH": 64, "DEPTH": 4096, "FRAME_FIFO": 1, "DROP_WHEN_FULL": 1}
	d := pipeline.Description{Name: "two-ports", ClockMHz: 156.25, Stages: []pipeline.Stage{
		pipeline.Of("axis_fifo", fifo).Named("a").Taking("in0"),
		pipeline.Of("axis_fifo", fifo).Named("b").Taking("in1"),
		pipeline.Of("axis_arb_mux", module.Args{"S_COUNT": 2, "DATA_WIDTH": 64, "ARB_TYPE_ROUND_ROBIN": 1}).Named("join").Taking("a", "b"),
		pipeline.Of("axis_async_fifo", module.Args{"DATA_WIDTH": 64, "DEPTH": 4096}).Clocked(250),
	}}
	r, err := d.Run(pipeline.Traffic{Bytes: 60, Frames: 2, Inputs: 2, Engine: "maxplus"})
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Order, *r.FirstLatencyNS)
	file, err := json.Marshal(&d)
	if err != nil {
		panic(err)
	}
	again, err := pipeline.Parse(file, "two-ports.json")
	fmt.Println(len(again.Stages), err)
	// Output:
	// 0101 93.237
	// 4 <nil>
}

// What cannot work is refused with the stage and the reason, and what to put there.
func ExampleDescription_Build() {
	d := pipeline.Description{Stages: []pipeline.Stage{
		pipeline.Of("axis_register", module.Args{"DATA_WIDTH": 64}).Named("narrow"),
		pipeline.Of("axis_register", module.Args{"DATA_WIDTH": 512}).Named("wide"),
	}}
	_, err := d.Build(pipeline.Setup{})
	fmt.Println(err)
	// Output: stage wide: takes 512 bits, narrow gives 64: put {module: axis_adapter, S_DATA_WIDTH: 64, M_DATA_WIDTH: 512} between
}
