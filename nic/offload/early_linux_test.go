package offload_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
	line "github.com/meshnic/meshnic/hostif/fault"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// tcpStats are the kernel's counters of TCP in a namespace, Tcp: and TcpExt:.
func tcpStats(t testing.TB, ns int) map[string]int {
	t.Helper()
	out := map[string]int{}
	hostiftest.In(t, ns, func() {
		for _, file := range []string{"snmp", "netstat"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + file)
			require.NoError(t, err)
			lines := strings.Split(string(b), "\n")
			for i := 0; i+1 < len(lines); i += 2 {
				names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
				for j := range names {
					if n, err := strconv.Atoi(values[j]); err == nil {
						out[names[0]+names[j]] = n
					}
				}
			}
		}
	})
	return out
}

// Linux does not send a body again that comes while its server's connection is being
// opened, which takes 30 ms here, but to probe (RFC 8985 §7); and no timer runs out.
func TestEarlyBodiesOfLinux(t *testing.T) {
	b, start := newBenchOf(t, side{}, side{wrap: func(l hostif.Link) hostif.Link {
		return line.Wrap(l, line.Config{Delay: 30 * time.Millisecond}, time.Now)
	}})
	app := answers(t, b, "app ")
	start(offload.Config{Mesh: mesh.Config{
		Listeners: []mesh.Listener{{Name: "http", Address: proxyIP + ":80", StatPrefix: "http", VirtualHosts: []mesh.VirtualHost{{
			Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "app"}}}}}},
		Clusters: []mesh.Cluster{{Name: "app", Endpoints: []mesh.Endpoint{{Address: app.Addr().String()}}}},
	}})
	body := strings.Repeat("0123456789", 1200)
	post := func(pieces int) time.Duration {
		c, err := b.dial(t, proxyIP+":80")
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(60 * time.Second))
		began := time.Now()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", len(body))
		for i := range pieces {
			_, err := io.WriteString(c, body[i*len(body)/pieces:(i+1)*len(body)/pieces])
			require.NoError(t, err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "app "+body, string(got))
		return time.Since(began)
	}
	for _, pieces := range []int{1, 2, 7} {
		for slow := 0; ; slow++ {
			before := tcpStats(t, b.client)
			took := post(pieces)
			after := tcpStats(t, b.client)
			more := func(name string) int {
				require.Contains(t, after, name)
				return after[name] - before[name]
			}
			if took > 150*time.Millisecond && slow < 20 { // what else ran here took the time of the timer, 200 ms
				continue
			}
			require.Zero(t, more("TcpExt:TCPTimeouts"))
			require.LessOrEqual(t, more("Tcp:RetransSegs"), more("TcpExt:TCPLossProbes"))
			break
		}
	}
}
