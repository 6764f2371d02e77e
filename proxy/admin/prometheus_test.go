package admin

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPromName(t *testing.T) {
	for _, c := range []struct{ name, metric, labels string }{
		{"cluster.app.upstream_rq_200", "envoy_cluster_upstream_rq", `envoy_response_code="200",envoy_cluster_name="app"`},
		{"cluster.a.b.upstream_rq_2xx", "envoy_cluster_upstream_rq_xx", `envoy_response_code_class="2",envoy_cluster_name="a.b"`},
		{"http.out.downstream_cx_total", "envoy_http_downstream_cx_total", `envoy_http_conn_manager_prefix="out"`},
		{"listener.127.0.0.1_80.downstream_cx_total", "envoy_listener_downstream_cx_total", `envoy_listener_address="127.0.0.1_80"`},
		{"listener.127.0.0.1_80.http.out.downstream_rq_2xx", "envoy_listener_http_downstream_rq_xx", `envoy_response_code_class="2",envoy_http_conn_manager_prefix="out",envoy_listener_address="127.0.0.1_80"`},
		{"server.live", "envoy_server_live", ""},
	} {
		metric, labels := promName(c.name)
		require.Equal(t, c.metric, metric, c.name)
		require.Equal(t, c.labels, labels, c.name)
	}
}
