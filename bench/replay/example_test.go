package replay_test

import (
	"context"
	"fmt"
	"os"

	"github.com/meshnic/meshnic/bench/replay"
	"github.com/meshnic/meshnic/datapath/pipeline"
)

func Example() {
	file, err := os.Open("../../examples/replay/web.pcap")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	capture, err := replay.Open(file, "web.pcap")
	if err != nil {
		panic(err)
	}
	card, _, _ := pipeline.Load("passthrough-10g")
	r, err := replay.Run(context.Background(), capture, replay.Options{Pipeline: card})
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Offered.Frames, "frames,", r.Carried.Frames, "carried")
	for _, d := range r.Drops {
		fmt.Println(d.Stage, "dropped", d.Frames, "for", d.Reason)
	}
	// Output:
	// 15 frames, 14 carried
	// parser dropped 1 for l4_checksum
}
