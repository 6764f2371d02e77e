//go:build linux

package sidecar

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// caseConfig is what a case says of its configuration: parts of Envoy's file. A
// case has one listener, on which the client comes in, and clusters whose
// endpoints are in the test's hands.
type caseConfig struct {
	Routes       []any          `json:"routes"`        // of a virtual host for all, or
	VirtualHosts []any          `json:"virtual_hosts"` // all of them
	RouteConfig  map[string]any `json:"route_config"`  // what else it has
	Filters      []any          `json:"filters"`       // before the router
	Manager      map[string]any `json:"manager"`       // what else the HTTP connection manager has
	Listener     map[string]any `json:"listener"`      // what else the listener has

	// By name, what each has besides its endpoints. Those are "endpoints", which is
	// not Envoy's: how many the test holds (1 if it is left out), or a list of
	// addresses that it does not; "blackhole" is one that never answers. "up" is
	// always there.
	Clusters map[string]map[string]any `json:"clusters"`
}

// config reads the case's, which is what it says over what the shared one does.
func (c *testcase) config(t testing.TB) (out caseConfig) {
	t.Helper()
	shared, own := "world", ""
	for _, s := range c.steps {
		if w := strings.Fields(s.cmd); w[0] == "config" {
			if own = strings.Join(s.text, "\n"); own != "" {
				shared = ""
			}
			if len(w) > 1 {
				shared = w[1]
			}
		}
	}
	if shared != "" {
		b, err := os.ReadFile(filepath.Join("testdata", "conformance", shared+".yaml"))
		require.NoError(t, err, c.name)
		require.NoError(t, yaml.UnmarshalStrict(b, &out), c.name)
	}
	require.NoError(t, yaml.UnmarshalStrict([]byte(own), &out), c.name)
	if out.Clusters == nil {
		out.Clusters = map[string]map[string]any{}
	}
	if _, ok := out.Clusters["up"]; !ok {
		out.Clusters["up"] = nil
	}
	return out
}

type object = map[string]any

const (
	typeURL = "type.googleapis.com/envoy.extensions.filters."
	hcmType = typeURL + "network.http_connection_manager.v3.HttpConnectionManager"
	rtrType = typeURL + "http.router.v3.Router"
)

// caseWorld is a bootstrap file with all cases, and their upstreams.
type caseWorld struct {
	file  []byte
	ports [][]port // by case
}

// prefix makes the names of a case's parts its own.
func prefix(i int) string { return fmt.Sprintf("c%d", i) }

// newWorld puts the file together; case i listens on listen[i].
func newWorld(t testing.TB, all []testcase, listen []string, admin, hole string) *caseWorld {
	t.Helper()
	w := &caseWorld{ports: make([][]port, len(all))}
	var listeners, clusters []any
	for i := range all {
		c := all[i].config(t)
		for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
			clusters = append(clusters, w.cluster(t, i, name, c.Clusters[name], hole))
		}
		listeners = append(listeners, c.listener(t, i, listen[i]))
	}
	file, err := yaml.Marshal(object{
		"node":             object{"id": "conformance", "cluster": "conformance"},
		"admin":            object{"address": socketAddress(t, admin)},
		"static_resources": object{"listeners": listeners, "clusters": clusters},
	})
	require.NoError(t, err)
	w.file = file
	return w
}

func (c *caseConfig) listener(t testing.TB, i int, address string) object {
	hosts := c.VirtualHosts
	if c.Routes != nil {
		hosts = []any{object{"name": "any", "domains": []any{"*"}, "routes": c.Routes}}
	}
	routes := object{"name": prefix(i), "virtual_hosts": hosts}
	maps.Copy(routes, c.RouteConfig)
	manager := object{
		"@type": hcmType, "codec_type": "HTTP1", "stat_prefix": prefix(i), "route_config": routes,
		"http_filters": append(slices.Clone(c.Filters), object{"name": "router", "typed_config": object{"@type": rtrType}}),
	}
	maps.Copy(manager, c.Manager)
	names := map[string]string{}
	for name := range c.Clusters {
		names[name] = prefix(i) + "_" + name
	}
	rename(manager, names)
	out := object{
		"name":          prefix(i),
		"address":       socketAddress(t, address),
		"filter_chains": []any{object{"filters": []any{object{"name": "http", "typed_config": manager}}}},
	}
	maps.Copy(out, c.Listener)
	return out
}

// rename gives clusters, wherever v names them, the names they have in the file.
func rename(v any, names map[string]string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			rename(e, names)
		}
	case object:
		for k, e := range v {
			if s, ok := e.(string); ok && (k == "cluster" || k == "name") && names[s] != "" && (k == "cluster" || v["weight"] != nil) {
				v[k] = names[s]
			}
			rename(e, names)
		}
	}
}

func (w *caseWorld) cluster(t testing.TB, i int, name string, c object, hole string) object {
	var addresses []string
	n := 1
	switch e := c["endpoints"].(type) {
	case float64:
		n = int(e)
	case []any:
		n = 0
		for _, a := range e {
			if a == "blackhole" {
				a = hole
			}
			addresses = append(addresses, a.(string))
		}
	}
	for _, ln := range upstreams(t, n) {
		w.ports[i] = append(w.ports[i], port{ln, name})
		addresses = append(addresses, ln.Addr().String())
	}
	assigned := object{"cluster_name": prefix(i) + "_" + name}
	var endpoints []any
	for _, a := range addresses {
		endpoints = append(endpoints, object{"endpoint": object{"address": socketAddress(t, a)}})
	}
	if endpoints != nil {
		assigned["endpoints"] = []any{object{"lb_endpoints": endpoints}}
	}
	out := object{"name": prefix(i) + "_" + name, "load_assignment": assigned}
	for k, v := range c {
		if k != "endpoints" {
			out[k] = v
		}
	}
	return out
}

func socketAddress(t testing.TB, address string) object {
	host, number, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return object{"socket_address": object{"address": host, "port_value": json.Number(number)}}
}

// upstreams opens n listeners.
func upstreams(t testing.TB, n int) (lns []net.Listener) {
	t.Helper()
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		lns = append(lns, ln)
	}
	return lns
}
