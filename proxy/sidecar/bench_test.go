//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// BenchmarkHop is one hop on loopback in a closed loop, client, proxy and server
// in one process. Compare it with direct, which is the same without the proxy.
func BenchmarkHop(b *testing.B) {
	reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n%s", strings.Repeat("x", 100))
	app := answer(b, func(c net.Conn, _ *bufio.Reader) {
		in := make([]byte, 4096)
		for {
			if n, err := c.Read(in); err != nil || n == 0 {
				return
			}
			if _, err := c.Write(reply); err != nil {
				return
			}
		}
	})
	s := start(b, relay(0, mesh.Endpoint{Address: app}), Options{Concurrency: 1})
	for _, bb := range []struct{ name, addr string }{{"direct", app}, {"sidecar", s.Addrs()[0].String()}} {
		for _, conns := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/connections=%d", bb.name, conns), func(b *testing.B) {
				b.ReportAllocs()
				var wg sync.WaitGroup
				for i := range conns {
					c, err := net.Dial("tcp", bb.addr)
					require.NoError(b, err)
					wg.Go(func() {
						defer c.Close()
						in, out := make([]byte, 4096), []byte(get)
						for n := i; n < b.N; n += conns {
							if _, err := c.Write(out); err != nil {
								b.Error(err)
								return
							}
							if _, err := c.Read(in); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			})
		}
	}
}
