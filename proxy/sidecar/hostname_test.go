//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// TestAutoHostOfNames: an endpoint that was found by a name is asked for by that, or by
// what its hostname says.
func TestAutoHostOfNames(t *testing.T) {
	for hostname, want := range map[string]string{"": "localhost", "inside.example": "inside.example"} {
		address := answer(t, func(c net.Conn, r *bufio.Reader) {
			for {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(req.Host), req.Host)
			}
		})
		_, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		cfg := relay(0, mesh.Endpoint{Address: "localhost:" + port, Hostname: hostname})
		cfg.Clusters[0].DNS = &mesh.DNS{Family: mesh.FamilyV4}
		cfg.Listeners[0].VirtualHosts[0].Routes[0].Rewrite.AutoHost = true
		ours, envoys := both(t, cfg)
		for _, addr := range []string{ours, envoys} {
			c, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			defer c.Close()
			status, body := ask(t, c, bufio.NewReader(c), get)
			require.Equal(t, 200, status)
			require.Equal(t, want, body)
		}
	}
}
