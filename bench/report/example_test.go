package report_test

import (
	"fmt"
	"os"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/bench/report"
)

func ExampleTable() {
	missing := "not installed"
	report.Table(os.Stdout, bench.Document{
		Schema: bench.Schema, Experiment: "hop", Manifest: bench.Manifest{Repeats: 5},
		Systems: []bench.System{
			{Name: "direct", Connections: 1, N: 900, WallUS: &bench.Quantiles{P50: 20, P90: 27, P99: 40, P999: 61, Max: 80}, RPS: 42404},
			{Name: "envoy", Connections: 1, Hops: 1, N: 900, WallUS: &bench.Quantiles{P50: 205, P90: 262, P99: 325, P999: 410, Max: 502}, RPS: 4672},
			{Name: "nginx", Absent: &missing},
		},
	})
	// Output:
	// hop: 1800 requests, 0 errors, median of 5 repeats
	//
	//                                   wall_us  wall_us  wall_us  wall_us  wall_us  ratio p50  ratio p90
	// system  conns  hops    n  errors      p50      p90      p99    p99.9      max  to direct  to direct
	// direct      1     0  900       0     20.0     27.0     40.0     61.0     80.0       1.00       1.00
	// envoy       1     1  900       0      205      262      325      410      502       10.2       9.70
	//
	// system  conns  hops  requests/s
	// direct      1     0       42404
	// envoy       1     1        4672
	//
	// Added over direct at the same connections, and x other proxies with as many hops: of the medians:
	//
	//                      added wall_us
	// system  conns  hops            p50
	// envoy       1     1            185
	//
	// absent:
	//   nginx  at any connections: not installed
}

func ExampleVerdicts() {
	run, err := report.Load("testdata/synthetic") // made-up figures
	if err != nil {
		fmt.Println(err)
		return
	}
	v := report.Verdicts(run)
	last := v[len(v)-1]
	fmt.Println(last.Text, "-", last.Mark())
	// Output: TCP ping-pong p50 through nic_passthrough_xdp is 0.66x haproxy_tcp (rule: below it) - holds
}
