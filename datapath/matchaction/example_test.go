package matchaction_test

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/matchaction"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
)

// A router of two prefixes that counts what it sends away.
func Example() {
	routes, err := matchaction.New(matchaction.Config{
		Name:     "routes",
		Key:      []matchaction.KeyField{{Field: datapath.FieldIPDst, Kind: matchaction.LPM}},
		Capacity: 1024,
		Miss:     []matchaction.Action{matchaction.Count("unroutable"), matchaction.Drop()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for port, prefix := range [][4]byte{{10, 0, 0, 0}, {10, 1, 0, 0}} {
		err := routes.Add(matchaction.Entry{
			Match:   []matchaction.Match{matchaction.Prefix4(prefix, 8+8*port)},
			Actions: []matchaction.Action{matchaction.Forward(datapath.PortSet(0).Add(datapath.Port(port)))},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	x := parser.New(parser.Config{})
	for _, dst := range []string{"10.9.9.9", "10.1.9.9", "192.0.2.1"} {
		p := &datapath.Packet{Data: datapathtest.Eth().IPv4("10.0.0.1", dst).UDP(1, 2)}
		x.Process(0, p)
		fmt.Printf("%s: %v, ports %b\n", dst, routes.Process(0, p), p.Egress)
	}
	for name, c := range routes.Counters() {
		fmt.Println(name, c.Packets)
	}
	// Output:
	// 10.9.9.9: forward, ports 1
	// 10.1.9.9: forward, ports 10
	// 192.0.2.1: drop, ports 0
	// unroutable 1
}

func ExampleTable_Learn() {
	fdb, err := matchaction.New(matchaction.Config{
		Name:     "fdb",
		Key:      []matchaction.KeyField{{Field: datapath.FieldVLAN}, {Field: datapath.FieldEthDst}},
		Capacity: 4096,
		MaxAge:   300 * 250e6, // 300 s (IEEE 802.1Q §8.8.3) at 250 MHz
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	key := matchaction.MACKey(0, datapathtest.MAC("02:00:00:00:00:01"))
	fdb.Learn(key, 3, 0)
	for _, now := range []sim.Cycle{1, 300 * 250e6, 301 * 250e6} {
		ports, known := fdb.Get(key, now)
		fmt.Printf("%b %v\n", ports, known)
	}
	// Output:
	// 1000 true
	// 1000 true
	// 0 false
}
