package offload_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// measured is a link that notes the longest segment that it is given to send, and whether
// superframes come and go.
type measured struct {
	hostif.Link
	longest       atomic.Int64 // IP packet, bytes
	superIn, supr atomic.Int64
}

func (l *measured) Recv(frames []*hostif.Frame) (int, error) {
	n, err := l.Link.Recv(frames)
	for _, f := range frames[:n] {
		if f.Offload.GSO != hostif.GSONone {
			l.superIn.Add(1)
		}
	}
	return n, err
}

func (l *measured) Send(frames []*hostif.Frame) (int, error) {
	for _, f := range frames {
		size := len(f.Data) - wire.EthernetLen
		if f.Offload.GSO != hostif.GSONone {
			l.supr.Add(1)
			size = int(f.Offload.HdrLen) + int(f.Offload.GSOSize) - wire.EthernetLen
		}
		l.longest.Store(max(l.longest.Load(), int64(size)))
	}
	return l.Link.Send(frames)
}

// Hosts of different MTUs, which leave segmentation to their cards: nobody gets a segment
// that is longer than its own MTU lets it be, of heads and bodies in either direction.
func TestMTUs(t *testing.T) {
	for _, mtu := range []struct{ client, server int }{{1500, 1500}, {9000, 1500}, {1500, 9000}, {1500, 1000}, {1000, 1500}, {9000, 600}, {600, 9000}} {
		t.Run(fmt.Sprintf("%d and %d", mtu.client, mtu.server), func(t *testing.T) {
			var client, server measured
			b, start := newBenchOf(t, side{mtu.client, func(l hostif.Link) hostif.Link { client.Link = l; return &client }},
				side{mtu.server, func(l hostif.Link) hostif.Link { server.Link = l; return &server }})
			echo := says(t, b, func(c net.Conn) {
				for r := bufio.NewReader(c); ; {
					q, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(q.Body)
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				}
			})
			start(offload.Config{MTU: 9000, Mesh: mesh.Config{
				Listeners: []mesh.Listener{{Name: "http", Address: proxyIP + ":80", StatPrefix: "http", VirtualHosts: []mesh.VirtualHost{{
					Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "app"}}}}}},
				Clusters: []mesh.Cluster{{Name: "app", Endpoints: []mesh.Endpoint{{Address: echo.Addr().String()}}}},
			}})
			c, err := b.dial(t, proxyIP+":80")
			require.NoError(t, err)
			defer c.Close()
			c.SetDeadline(time.Now().Add(60 * time.Second))
			r := bufio.NewReader(c)
			dice := rand.NewChaCha8([32]byte{1})
			for _, size := range []int{10, 1400, 65_000, 3_000_000} {
				body := make([]byte, size)
				dice.Read(body)
				go c.Write(append(fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size), body...))
				resp, err := http.ReadResponse(r, nil)
				require.NoError(t, err, "%d bytes", size)
				got, err := io.ReadAll(resp.Body)
				require.NoError(t, err, "%d bytes", size)
				require.True(t, bytes.Equal(body, got), "%d bytes", size)
			}
			require.LessOrEqual(t, client.longest.Load(), int64(mtu.client))
			require.LessOrEqual(t, server.longest.Load(), int64(mtu.server))
			require.Positive(t, client.superIn.Load(), "the client sends superframes")
			require.Positive(t, server.supr.Load(), "and the server gets some")
		})
	}
}
