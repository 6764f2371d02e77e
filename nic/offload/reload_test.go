package offload

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dt "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Endpoints that a reload takes away are not asked for any more, and leave room for others.
func TestReloadsLeaveNothing(t *testing.T) {
	q := newQuiet(t, "10.0.0.200:80", "10.0.0.3:80", nil)
	q.until(10 * second)
	for i := range 100 {
		cfg := q.o.cfg.Mesh
		cfg.Clusters = []mesh.Cluster{{Name: "up", Endpoints: []mesh.Endpoint{{Address: fmt.Sprintf("10.0.1.%d:80", i)}}}}
		p, err := q.o.prepare(cfg)
		require.NoError(t, err)
		q.o.adopt(p)
		q.until(q.now + second)
	}
	require.LessOrEqual(t, len(q.o.ends), 3)
	q.asked = nil
	q.until(q.now + 1000*second)
	require.NotEmpty(t, q.asked)
	for _, s := range q.asked {
		require.Contains(t, s, " 10.0.1.99")
	}
}

// A request that waits for its next try when its cluster is taken away goes where it would have gone.
func TestReloadBetweenTries(t *testing.T) {
	cfg := mesh.Config{
		Listeners: []mesh.Listener{{Name: "a", Address: "10.0.0.200:80", StatPrefix: "a",
			VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "up",
				Retry: &mesh.RetryPolicy{On: []string{"connect-failure"}, Retries: 1, Base: 10 * time.Second}}}}}}},
		Clusters: []mesh.Cluster{{Name: "up", Endpoints: []mesh.Endpoint{{Address: "10.0.0.3:80"}}}},
	}
	h := newByHand(t, Config{Mesh: cfg})
	c := h.client(4000)
	c.say("PA", "GET / HTTP/1.1\r\nhost: a\r\n\r\n")
	require.Len(t, h.out, 1)
	s := &far{h: h, eth: dt.Eth("02:6e:69:63:00:01", "02:00:00:00:00:03").IPv4("10.0.0.3", "10.0.0.200"), port: 80, its: h.out[0].SrcPort, got: uint32(h.out[0].TCPSeq) + 1}
	s.say("RA", "")
	require.Empty(t, h.out, "it waits")
	for i := range 3 {
		cfg.Clusters = []mesh.Cluster{{Name: "up", Endpoints: []mesh.Endpoint{{Address: fmt.Sprintf("10.0.1.%d:80", i)}}}}
		p, err := h.o.prepare(cfg)
		require.NoError(t, err)
		h.o.adopt(p)
	}
	h.pass(12 * second)
	require.NotEmpty(t, h.out)
	require.True(t, h.out[0].TCPFlags.Has(wire.SYN))
	require.Equal(t, dt.IP("10.0.0.3"), h.out[0].IPDst)
}
