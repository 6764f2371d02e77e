//go:build linux

package sidecar

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkMutualTLS is BenchmarkHop with mutual TLS on both sides; the client's
// and the server's records are sealed and opened in the same process.
func BenchmarkMutualTLS(b *testing.B) {
	w := newSecureWorld(b)
	reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n%s", strings.Repeat("x", 100))
	serve := func(c net.Conn, _ *bufio.Reader) {
		in := make([]byte, 4096)
		for {
			if n, err := c.Read(in); err != nil || n == 0 {
				return
			}
			if _, err := c.Write(reply); err != nil {
				return
			}
		}
	}
	app := w.answerTLS(b, w.tlsServer(w.server), serve)
	s := start(b, w.originate(w.mutual(app)), Options{Concurrency: 1})
	connect := func(b *testing.B) net.Conn {
		raw, err := net.Dial("tcp", s.Addrs()[0].String())
		require.NoError(b, err)
		c := tls.Client(raw, w.tlsClient(w.client))
		require.NoError(b, c.Handshake())
		return c
	}
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("connections=%d", conns), func(b *testing.B) {
			b.ReportAllocs()
			var wg sync.WaitGroup
			for i := range conns {
				c := connect(b)
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
	b.Run("handshake", func(b *testing.B) {
		b.ReportAllocs()
		in := make([]byte, 4096)
		for b.Loop() {
			c := connect(b)
			c.Write([]byte(get)) // the client's part of the handshake is checked behind it
			c.Read(in)
			c.Close()
		}
	})
}
