package offload_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// The admin of the bootstrap file answers as the sidecar's does; a reload changes where
// the next request on a connection goes; a drain ends connections, and takes no more.
func TestAdmin(t *testing.T) {
	b, start := newBench(t)
	app, other := answers(t, b, "app"), answers(t, b, "other")
	to := func(addr string) mesh.Config {
		return mesh.Config{Node: "n1", Admin: "127.0.0.1:0",
			Listeners: []mesh.Listener{{Name: "web", Address: proxyIP + ":80", StatPrefix: "web", VirtualHosts: []mesh.VirtualHost{{
				Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "app"}}}}}},
			Clusters: []mesh.Cluster{{Name: "app", Endpoints: []mesh.Endpoint{{Address: addr}}}},
		}
	}
	o := start(offload.Config{Mesh: to(app.Addr().String())})
	do := func(f func()) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		return b.nic.Do(ctx, func(*nic.NIC) { f() })
	}
	var log bytes.Buffer
	a, err := offload.NewAdmin(o, do, &log)
	require.NoError(t, err)
	a.Start()
	page := func(method, path string) string {
		q, err := http.NewRequest(method, "http://"+a.Addr().String()+path, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}
	c, err := b.dial(t, proxyIP+":80")
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	r := bufio.NewReader(c)
	ask := func() (string, bool) {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body), resp.Close
	}
	got, last := ask()
	require.Equal(t, "app", got)
	require.False(t, last)
	require.Equal(t, "LIVE\n", page("GET", "/ready"))
	require.Contains(t, page("GET", "/stats"), "http.web.downstream_rq_2xx: 1\n")
	require.Contains(t, page("GET", "/stats?format=json&filter=rq_200"), `{"name":"cluster.app.upstream_rq_200","value":1}`)
	require.Contains(t, page("GET", "/stats/prometheus"), `envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="app"} 1`)
	require.Contains(t, page("GET", "/clusters"), "app::"+app.Addr().String()+"::rq_success::1\n")
	require.Contains(t, page("GET", "/config_dump"), app.Addr().String()[len(serverIP)+1:])
	require.Contains(t, page("GET", "/server_info"), `"id": "n1"`)
	require.Equal(t, "web::"+proxyIP+":80\n", page("GET", "/listeners"))

	require.NoError(t, a.Reload(to(other.Addr().String())))
	got, _ = ask()
	require.Equal(t, "other", got, "the connection stays, the request goes elsewhere")
	require.Error(t, a.Reload(mesh.Config{}))
	got, _ = ask()
	require.Equal(t, "other", got)
	require.Contains(t, page("GET", "/stats"), "http.web.downstream_rq_2xx: 3\n", "counters go on")
	require.Contains(t, page("GET", "/stats"), "http.web.downstream_cx_total: 1\n")

	require.Equal(t, "OK\n", page("POST", "/healthcheck/fail"))
	require.Equal(t, "DRAINING\n", page("GET", "/ready"))
	got, last = ask()
	require.Equal(t, "other", got)
	require.True(t, last, "the response asks for the close")
	require.Equal(t, "OK\n", page("POST", "/drain_listeners"))
	_, err = b.dial(t, proxyIP+":80")
	require.Error(t, err, "nobody listens any more")
	a.Close()
	require.Empty(t, log.String())
}
