package bookinfo

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Burning is exact in CPU time of the thread, whatever else the host does.
func TestBurnIsThreadCPUTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, tt := range []struct {
		w    Work
		d    time.Duration
		want time.Duration
	}{
		{Native, time.Second, 0},
		{Polyglot, 2 * time.Millisecond, 2 * time.Millisecond},
		{Polyglot, burnRatings, burnRatings},
		{Paper, time.Millisecond, time.Duration(paperFactor * float64(time.Millisecond))},
	} {
		best := time.Hour
		for range 50 { // some of what a hypervisor takes counts as the thread's
			began := threadCPU()
			tt.w.burn(tt.d)
			got := threadCPU() - began
			require.GreaterOrEqual(t, got, tt.want)
			best = min(best, got)
		}
		// The slack is a chunk of work and two readings of the clock.
		require.LessOrEqual(t, best, tt.want+tt.want/7+50*time.Microsecond, "%v of %v", tt.w, tt.d)
	}
}

// BenchmarkPage gives latency of /productpage at one connection, and the
// process's CPU time a page. Run it with -benchtime=300x.
func BenchmarkPage(b *testing.B) {
	for _, w := range []Work{Native, Polyglot, Paper} {
		b.Run(w.String(), func(b *testing.B) { benchmarkPage(b, app(b, "reviews-v3", w)) })
	}
}

func benchmarkPage(b *testing.B, address string) {
	c, err := net.Dial("tcp", address)
	require.NoError(b, err)
	defer c.Close()
	br := bufio.NewReader(c)
	page := func() {
		fmt.Fprintf(c, "GET /productpage HTTP/1.1\r\nHost: %s\r\n\r\n", address)
		resp, err := http.ReadResponse(br, nil)
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(b, err)
	}
	for range 20 {
		page()
	}
	took := make([]time.Duration, 0, b.N)
	cpu := processCPU(b)
	for b.Loop() {
		began := time.Now()
		page()
		took = append(took, time.Since(began))
	}
	cpu = processCPU(b) - cpu
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*9/10]), "p90-ms")
	b.ReportMetric(ms(cpu)/float64(len(took)), "cpu-ms/page")
}

func BenchmarkBurn(b *testing.B) {
	for b.Loop() {
		burnCPU(burnRatings)
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(burnRatings), "wall/asked")
}

// processCPU returns the CPU time of the whole process.
func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var ts unix.Timespec
	require.NoError(b, unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts))
	return time.Duration(ts.Nano())
}
