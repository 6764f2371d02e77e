package deparser_test

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/deparser"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/wire"
)

// A stage changes fields, the deparser the bytes and the checksums.
func Example() {
	p := &datapath.Packet{Data: datapathtest.Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S")}
	parser.New(parser.Config{}).Process(0, p)
	p.SetField(datapath.FieldIPDst, datapath.IPValue(datapathtest.IP("192.0.2.1")))
	p.SetField(datapath.FieldDstPort, datapath.Uint(8080))
	deparser.New().Process(0, p)

	ip := wire.IPv4(p.Data[14:])
	fmt.Println(ip.Dst(), wire.TCP(ip.Payload()).DstPort(), ip.ChecksumOK(), wire.L4ChecksumOK(p.Data))
	// Output: [192 0 2 1] 8080 true true
}
