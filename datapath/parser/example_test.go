package parser_test

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
)

func Example() {
	x := parser.New(parser.Config{VerifyChecksums: true})
	frame := datapathtest.Eth().VLAN(5).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S")
	p := &datapath.Packet{Data: frame}
	fmt.Println(x.Process(0, p), p.PHV.VLAN, p.PHV.SrcPort, p.PHV.DstPort, p.PHV.TCPFlags)

	p.Data = frame.BadL4Checksum()
	fmt.Println(x.Process(0, p), p.Reason)
	// Output:
	// continue 5 4000 80 S
	// drop l4_checksum
}

// A card whose graph knows another tag.
func ExampleNewGraph() {
	g := parser.DefaultGraph()
	g[0].Next[0x9100] = "vlan"
	x, err := parser.NewGraph(parser.Config{}, g)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := &datapath.Packet{Data: datapathtest.Eth().Tag(0x9100, 7).Patch(16, 0x08, 0x06).Pad(60).Patch(18, 0, 6, 8)}
	x.Process(0, p)
	fmt.Println(p.PHV.VLAN, p.PHV.Has(datapath.HdrARP))
	// Output: 7 true
}
