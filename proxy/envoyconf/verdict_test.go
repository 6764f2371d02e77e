package envoyconf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const judged = `
node:
  id: pod
  metadata: {role: {any: thing}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    traffic_direction: OUTBOUND
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          access_log:
          - name: file
            typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /page}
                direct_response: {status: 200}
              - match: {prefix: /again}
                route: {cluster: app, retry_policy: {retry_on: 5xx}}
              - match: {prefix: /}
                route: {cluster: app}
                metadata: {filter_metadata: {x: {y: 1}}}
          http_filters:
          - name: fault
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault, delay_percent_runtime: k}
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: app
`

func verdicts(items []Item) (out []string) {
	for _, i := range items {
		path := i.Path[strings.LastIndexByte(i.Path, '.')+1:]
		out = append(out, fmt.Sprintf("%d:%d %s %s", i.Line, i.Column, i.Verdict, path))
	}
	return out
}

func TestCheck(t *testing.T) {
	items := Check([]byte(judged), "f.yaml")
	require.Equal(t, []string{
		"3:3 host node", "4:3 ignored metadata", "7:5 nic listeners[0]", "8:5 ignored traffic_direction", "10:7 nic filter_chains[0]",
		"13:11 nic typed_config", "16:13 nic access_log[0]", "20:15 nic virtual_hosts[0]", "23:17 nic routes[0]", "25:17 nic routes[1]",
		"27:17 nic routes[2]", "29:17 ignored metadata", "32:27 nic typed_config", "32:107 ignored delay_percent_runtime", "36:5 nic clusters[0]",
	}, verdicts(items))
	for _, i := range items {
		require.NotEmpty(t, i.Why, i.Path)
	}
	cfg, err := Read([]byte(judged), "f.yaml")
	require.NoError(t, err)
	require.Equal(t, "pod", cfg.Node)
}

func TestCheckConnectionLogs(t *testing.T) {
	const log = "access_log: [{typed_config: {'@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null}}]\n"
	file := strings.Replace(judged, "    traffic_direction: OUTBOUND\n", "    "+log, 1)
	items := Check([]byte(file), "f.yaml")
	require.Subset(t, verdicts(items), []string{"7:5 host listeners[0]", "8:18 host access_log[0]", "16:13 nic access_log[0]"})
	items = append(items, Check([]byte(strings.NewReplacer(
		"    traffic_direction: OUTBOUND\n", "", judged[strings.Index(judged, "    - filters:"):strings.Index(judged, "  clusters:")],
		"    - filters: [{typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: in, cluster: app,\n        "+log[:len(log)-1]+"}}]\n",
	).Replace(judged)), "f.yaml")...)
	require.Subset(t, verdicts(items), []string{"9:32 host typed_config", "10:22 host access_log[0]"})
	for _, i := range items {
		require.NotEqual(t, Refused, i.Verdict, "%s: %s", i.Path, i.Why)
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"  - name: app\n", "  - name: app\n    upstream_bind_config: {}\n", "37:5 refused upstream_bind_config"},             // not carried
		{"{cluster: app}\n                metadata", "{cluster: nowhere}\n                metadata", "28:34 refused cluster"}, // not there
		{"static_resources", "static", "5:1 refused static"},
		{"\nnode", "\n- node", "2:1 refused "},
	} {
		items := Check([]byte(strings.Replace(judged, tt.old, tt.new, 1)), "f.yaml")
		found := false
		for _, v := range verdicts(items) {
			found = found || strings.HasPrefix(v, tt.want)
		}
		require.True(t, found, "%s: %v", tt.want, verdicts(items))
	}
}
