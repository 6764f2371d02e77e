package wire_test

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/wire"
)

// A view is checked once and then read without checks; a checksum follows a
// change without reading the rest.
func Example() {
	frame := datapathtest.Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S", datapathtest.MSS(1460))
	ip := wire.IPv4(frame[wire.EthernetLen:])
	if !ip.Valid() {
		return
	}
	tcp := wire.TCP(ip.Payload())
	if !tcp.Valid() {
		return
	}
	fmt.Println(tcp.SrcPort(), tcp.DstPort(), tcp.Flags(), tcp.SynOptions().MSS)

	tcp.SetChecksum(wire.Update16(tcp.Checksum(), tcp.DstPort(), 8080))
	tcp.SetDstPort(8080)
	fmt.Println(wire.L4ChecksumOK(frame))
	// Output:
	// 4000 80 S 1460
	// true
}

func ExampleTCPOptions() {
	frame := datapathtest.Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A", datapathtest.NOP(), datapathtest.NOP(), datapathtest.SACK(100, 200))
	it := wire.TCPOptions(wire.TCP(frame[34:]).Options())
	for o := (wire.TCPOption{}); it.Next(&o); {
		if blocks, n := o.SACKBlocks(); n > 0 {
			fmt.Println(blocks[:n])
		}
	}
	// Output: [{100 200}]
}

func ExampleFillL4Checksum() {
	// What a sender leaves to its device, and a link cannot pass on.
	frame := datapathtest.Eth().IPv4("10.0.0.1", "10.0.0.2").UDP(1, 2).Payload("x").PartialChecksum()
	fmt.Println(wire.L4ChecksumOK(frame), wire.FillL4Checksum(frame), wire.L4ChecksumOK(frame))
	// Output: false true true
}
