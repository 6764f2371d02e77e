package tcp_test

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp"
	"github.com/meshnic/meshnic/datapath/wire"
)

// A handshake passes; both sides' round-trip times are known.
func Example() {
	clock := sim.Clock{Hz: 250_000_000}
	tracker, err := tcp.New(tcp.Config{Flows: 1 << 10, Clock: clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	x := parser.New(parser.Config{})
	out := datapathtest.Eth().IPv4("10.0.0.1", "10.0.0.2")
	back := datapathtest.Eth().IPv4("10.0.0.2", "10.0.0.1")
	for _, s := range []struct {
		now   sim.Cycle
		frame datapathtest.Frame
	}{
		{0, out.TCP(4000, 80, "S", datapathtest.Seq(100))},
		{7500, back.TCP(80, 4000, "SA", datapathtest.Seq(300), datapathtest.Ack(101))},
		{10000, out.TCP(4000, 80, "A", datapathtest.Seq(101), datapathtest.Ack(301))},
	} {
		p := &datapath.Packet{Data: s.frame}
		x.Process(s.now, p)
		tracker.Process(s.now, p)
	}
	for f := range tracker.Flows() {
		fmt.Println(wire.FormatIP(f.ClientIP), "to", wire.FormatIP(f.ServerIP), f.State)
		fmt.Println("to the server and back", clock.Duration(f.Client.RTT.Smoothed))
		fmt.Println("to the client and back", clock.Duration(f.Server.RTT.Smoothed))
	}
	// Output:
	// 10.0.0.1 to 10.0.0.2 ESTABLISHED
	// to the server and back 30µs
	// to the client and back 10µs
}
