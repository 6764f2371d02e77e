package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
)

// intercepting is a proxy as a mesh puts it in front of an application that knows
// nothing of it: 15006 gets what REDIRECT takes off its way, 15007 what TPROXY
// does, each passing it on to where it was going; a connection to port 9999 is
// handed over to a listener that has no socket of its own.
const intercepting = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 15000}}}
static_resources:
  listeners:
  - name: redirected
    address: {socket_address: {address: 0.0.0.0, port_value: 15006}}
    use_original_dst: true
    listener_filters: [{name: envoy.filters.listener.original_dst, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}]
    filter_chains: [{filters: [%[1]s]}]
  - name: transparent
    address: {socket_address: {address: 0.0.0.0, port_value: 15007}}
    transparent: true
    listener_filters: [{name: envoy.filters.listener.original_dst, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}]
    filter_chains: [{filters: [%[1]s]}]
  - name: tcp
    address: {socket_address: {address: 0.0.0.0, port_value: 9998}}
    bind_to_port: false
    filter_chains:
    - filters:
      - name: tcp
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: tcp, cluster: original}
  - name: handed over
    address: {socket_address: {address: 0.0.0.0, port_value: 9999}}
    bind_to_port: false
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: handed
          route_config: {virtual_hosts: [{name: any, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: handed over}}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  clusters:
  - name: original
    type: ORIGINAL_DST
    lb_policy: CLUSTER_PROVIDED
    connect_timeout: 1s
`

const toOriginal = `{name: http, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
          stat_prefix: in, route_config: {virtual_hosts: [{name: any, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: original}}]}]},
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}`

// What leads connections to the proxy; those of the proxy's own do not come by.
const interceptRules = `
table ip mesh {
	chain nat {
		type nat hook prerouting priority -100
		tcp dport { 8080, 8082, 9998, 9999 } redirect to :15006
	}
	chain mangle {
		type filter hook prerouting priority -150
		iifname "eth0" tcp dport 8081 tproxy to :15007 meta mark set 1
	}
}
`

// The sidecar and Envoy take over the connections to an application, by REDIRECT
// and by TPROXY, and both do the same with them.
func TestInterception(t *testing.T) {
	hostiftest.NeedNet(t, func() error {
		for _, p := range []string{"nft", "ip", "curl"} {
			if _, err := exec.LookPath(p); err != nil {
				return err
			}
		}
		if os.Getenv("MESHNIC_ENVOY") == "" {
			return errors.New("MESHNIC_ENVOY is not set")
		}
		return netns.Probe()
	})
	file := filepath.Join(t.TempDir(), "intercept.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, intercepting, toOriginal), 0o644))
	exe, err := os.Executable()
	require.NoError(t, err)
	proxies := map[string]lab.Cmd{"sidecar": {Path: exe, Args: []string{"sidecar", "--config", file, "--concurrency", "1"}, Env: append(os.Environ(), asMeshnic+"=1")}}
	proxies["envoy"] = lab.Cmd{Path: os.Getenv("MESHNIC_ENVOY"), Args: []string{"-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"}}
	seen := map[string][]string{}
	for name, cmd := range proxies {
		seen[name] = intercepted(t, name, cmd, exe)
	}
	require.Equal(t, seen["envoy"], seen["sidecar"])
	require.Equal(t, []string{
		"8080: 200 from app 8080", "8081: 200 from app 8081", "8082: 503 upstream connect error", "9999: 200 handed over", "9998: 200 from app 9998",
		"cluster.original.upstream_cx_connect_fail: 1", "cluster.original.upstream_rq_200: 2", "cluster.original.upstream_rq_503: 1",
		"http.handed.downstream_rq_2xx: 1", "http.in.downstream_cx_total: 3", "tcp.tcp.downstream_cx_total: 1",
	}, seen["sidecar"])
}

func intercepted(t *testing.T, name string, proxy lab.Cmd, exe string) (seen []string) {
	l, err := lab.Up(t.Context(), lab.Spec{Name: fmt.Sprintf("i%d_%s", os.Getpid(), name), Fabric: lab.Direct, Hosts: []lab.Host{{Name: "client"}, {Name: "server"}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Down()) }()
	run := func(host string, args ...string) string {
		out, err := l.Run(t.Context(), host, lab.Cmd{Path: args[0], Args: args[1:]})
		require.NoError(t, err, args)
		return string(out.Stdout)
	}
	_, err = l.Run(t.Context(), "server", lab.Cmd{Path: "nft", Args: []string{"-f", "-"}, Stdin: []byte(interceptRules)})
	require.NoError(t, err)
	run("server", "ip", "rule", "add", "fwmark", "1", "lookup", "100")
	run("server", "ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo", "table", "100")
	for _, port := range []int{8080, 8081, 9998} {
		cfg := fmt.Sprintf(`{"listen":"0.0.0.0:%d","body":"app %d"}`, port, port)
		p, err := l.Start("server", lab.Cmd{Path: exe, Args: []string{"__load", "serve"}, Env: append(os.Environ(), asMeshnic+"=1"), Stdin: []byte(cfg)})
		require.NoError(t, err)
		require.NoError(t, p.WaitListening(fmt.Sprintf(":%d", port), 60*time.Second))
	}
	p, err := l.Start("server", proxy)
	require.NoError(t, err)
	require.NoError(t, p.WaitListening(":15007", 60*time.Second))
	require.NoError(t, p.WaitListening("127.0.0.1:15000", 60*time.Second))
	for _, port := range []int{8080, 8081, 8082, 9999, 9998} {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		out, err := l.Run(ctx, "client", lab.Cmd{Path: "curl", Args: []string{"-s", "--max-time", "30", "-w", " %{http_code}", fmt.Sprintf("http://%s:%d/", l.IP("server"), port)}})
		cancel()
		require.NoError(t, err, port)
		answer := string(out.Stdout)
		i := strings.LastIndexByte(answer, ' ')
		text := answer[:i]
		if strings.HasPrefix(text, "app") {
			text = "from " + text
		}
		if cut := strings.Index(text, " or disconnect"); cut > 0 {
			text = text[:cut]
		}
		seen = append(seen, fmt.Sprintf("%d: %s %s", port, answer[i+1:], text))
	}
	stats := run("server", "curl", "-s", "http://127.0.0.1:15000/stats")
	for line := range strings.Lines(stats) {
		for _, want := range []string{"http.in.downstream_cx_total", "http.handed.downstream_rq_2xx", "tcp.tcp.downstream_cx_total", "cluster.original.upstream_rq_200", "cluster.original.upstream_rq_503", "cluster.original.upstream_cx_connect_fail"} {
			if strings.HasPrefix(line, want+":") {
				seen = append(seen, strings.TrimSpace(line))
			}
		}
	}
	slices.Sort(seen[5:])
	return seen
}
