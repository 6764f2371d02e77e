package load

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wrk runs wrk, as the arguments of before say how, for a second and returns its rate, p50 in us and requests.
func wrk(t testing.TB, at fmt.Stringer, conns int, before ...string) (rps, p50 float64, n uint64) {
	t.Helper()
	args := append(before, needTool(t, "wrk"), "-t1", "-c"+strconv.Itoa(conns), "-d1s", "--latency", "http://"+at.String()+"/")
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NotContains(t, string(out), "Socket errors")
	require.NotContains(t, string(out), "Non-2xx")
	find := func(re string) []string {
		m := regexp.MustCompile(re).FindStringSubmatch(string(out))
		require.NotNil(t, m, string(out))
		return m[1:]
	}
	rps, err = strconv.ParseFloat(find(`Requests/sec:\s+([0-9.]+)`)[0], 64)
	require.NoError(t, err)
	d, err := time.ParseDuration(find(`\n\s+50%\s+([0-9.]+[mu]?s)`)[0])
	require.NoError(t, err)
	n, err = strconv.ParseUint(find(`\s(\d+) requests in`)[0], 10, 64)
	require.NoError(t, err)
	return rps, float64(d.Nanoseconds()) / 1e3, n
}

// The null server as another client sees it, and counts it.
func TestWrkAgainstTheNullServer(t *testing.T) {
	needTool(t, "wrk")
	srv, at := listening(t, "serve", ServeConfig{Listen: loopback})
	_, _, n := wrk(t, at, 4)
	served := srv.terminate(t).Requests
	require.GreaterOrEqual(t, served, n)
	require.LessOrEqual(t, served, n+4, "wrk leaves with its requests in flight")
}

// Own generator and wrk, in turn against one server, all on one processor (where
// a scheduler puts three processes on two is a matter of luck worth 40 us a
// request): medians of five within a quarter of each other. Asked for by MESHNIC_TIMING=1, because it can only hold
// on a machine with nothing else to do.
//
// p50 is compared at one connection only: with more than it can serve at once,
// wrk starts a request's clock when its loop comes round to write, so that part
// of the waiting is in nobody's figure (64 connections, 146000/s: 438 us a
// request by Little's law, and wrk prints a p50 of 214).
func TestAgreesWithWrk(t *testing.T) {
	if os.Getenv("MESHNIC_TIMING") != "1" {
		t.Skip("compares timings; set MESHNIC_TIMING=1 on a quiet machine")
	}
	needTool(t, "wrk")
	taskset := needTool(t, "taskset")
	one := Placement{CPUs: []int{0}}
	_, at := listening(t, "serve", ServeConfig{Listen: loopback, Placement: one})
	for _, conns := range []int{1, 8, 64} {
		var own, theirs, ownP50, theirP50, cpu []float64
		for range 5 {
			var r Result
			start(t, "run", Config{Target: at, Connections: conns, Warmup: 100 * time.Millisecond, Duration: time.Second, Placement: one}).end(t, &r)
			require.Zero(t, r.Errors)
			rps, p50, _ := wrk(t, at, conns, taskset, "-c", "0")
			own, theirs = append(own, r.RPS), append(theirs, rps)
			ownP50, theirP50 = append(ownP50, r.WallUS.P50), append(theirP50, p50)
			cpu = append(cpu, r.Generator.CPU)
		}
		t.Logf("%d connections: own %.0f/s p50 %.1f us (%.1f us of CPU a request), wrk %.0f/s p50 %.1f us", conns,
			median(own), median(ownP50), median(cpu), median(theirs), median(theirP50))
		require.InEpsilon(t, median(theirs), median(own), 0.25)
		if conns == 1 {
			require.InEpsilon(t, median(theirP50), median(ownP50), 0.25)
		}
	}
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// The floor: what the generator and the null server cost by themselves, on the
// loopback, each a process of its own.
func BenchmarkFloor(b *testing.B) {
	for _, conns := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("connections=%d", conns), func(b *testing.B) {
			_, at := listening(b, "serve", ServeConfig{Listen: loopback})
			var r Result
			start(b, "run", Config{Target: at, Connections: conns, Warmup: 100 * time.Millisecond, MaxRequests: uint64(max(1000, b.N))}).end(b, &r)
			require.Zero(b, r.Errors)
			b.ReportMetric(r.WallUS.P50, "p50-us")
			b.ReportMetric(r.WallUS.P99, "p99-us")
			b.ReportMetric(r.RPS, "req/s")
			b.ReportMetric(r.Generator.CPU, "cpu-us/req")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func BenchmarkPingPong(b *testing.B) {
	_, at := listening(b, "echo", EchoConfig{Listen: loopback, Placement: Placement{CPUs: []int{0}}})
	var r Result
	start(b, "pingpong", PingPongConfig{Target: at, Warmup: 500, Rounds: max(1000, b.N), Placement: Placement{CPUs: []int{0}}}).end(b, &r)
	require.Zero(b, r.Errors)
	b.ReportMetric(r.WallUS.P50, "p50-us")
	b.ReportMetric(r.WallUS.P99, "p99-us")
	b.ReportMetric(0, "ns/op")
}
