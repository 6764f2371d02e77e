package mac_test

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/mac"
)

func ExampleReceive() {
	rx := mac.Receive{MaxFrame: 1514}
	p := &datapath.Packet{Data: make([]byte, 1600)}
	fmt.Println(rx.Process(0, p), p.Reason)
	// Output: drop overlong
}
