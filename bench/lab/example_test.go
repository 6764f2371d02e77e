package lab_test

import (
	"fmt"

	"github.com/meshnic/meshnic/bench/lab"
)

// What a lab consists of can be read, and done, by hand.
func ExamplePlan() {
	text, err := lab.Plan(lab.Spec{Name: "demo", Fabric: lab.Direct, Hosts: []lab.Host{
		{Name: "client", IP: "10.77.1.1"},
		{Name: "server", IP: "10.77.1.2"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(text)
	// Output:
	// ip netns add mnic-demo-client
	// ip -n mnic-demo-client link set lo up
	// ip netns exec mnic-demo-client sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	// ip netns add mnic-demo-server
	// ip -n mnic-demo-server link set lo up
	// ip netns exec mnic-demo-server sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	// ip -n mnic-demo-client link add eth0 netns mnic-demo-client mtu 1500 index 1000 address 02:6e:0a:4d:01:01 type veth peer name eth0 netns mnic-demo-server mtu 1500 address 02:6e:0a:4d:01:02
	// ip -n mnic-demo-client addr add 10.77.1.1/24 brd + dev eth0
	// ip -n mnic-demo-client link set eth0 up
	// ip -n mnic-demo-server addr add 10.77.1.2/24 brd + dev eth0
	// ip -n mnic-demo-server link set eth0 up
}
