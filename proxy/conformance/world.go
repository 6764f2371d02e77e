package conformance

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	yaml "go.yaml.in/yaml/v3"
)

// caseConfig is what a case says of its configuration: parts of Envoy's file. A
// case has one listener, on which the client comes in, and clusters whose
// endpoints are in the test's hands, or are listeners behind that one: sidecars of
// those that it calls.
type caseConfig struct {
	Routes       []any          `yaml:"routes"`        // of a virtual host for all, or
	VirtualHosts []any          `yaml:"virtual_hosts"` // all of them
	RouteConfig  map[string]any `yaml:"route_config"`  // what else it has
	Filters      []any          `yaml:"filters"`       // before the router
	Manager      map[string]any `yaml:"manager"`       // what else the HTTP connection manager has
	Listener     map[string]any `yaml:"listener"`      // what else the listener has
	Log          any            `yaml:"log"`           // the access log's format, text or JSON, if it is not caseLog
	ListenerLog  string         `yaml:"listener_log"`  // the format of the listener's own, whose lines are among the others
	LogFilters   map[string]any `yaml:"log_filters"`   // several logs in its place, whose lines begin with the name of their filter

	// By name, what each has besides its endpoints. Those are "endpoints", which is
	// not Envoy's: how many the test holds (1 if it is left out), or a list of
	// addresses that it does not; "blackhole" is one that never answers, and the name of a
	// listener behind is its. "hostname" is the endpoints' too. "up" is always there.
	Clusters map[string]map[string]any `yaml:"clusters"`

	// By name, the listeners behind: of each what there is of the case's own. The lines of
	// their access logs begin with their names.
	Behind map[string]*caseConfig `yaml:"behind"`
}

// config reads the case's, which is what it says over what the shared one does.
func (c *Case) config(t testing.TB) (out caseConfig) {
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
		b, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(c.path)), shared+".yaml"))
		require.NoError(t, err, c.Name)
		require.NoError(t, strict(b, &out), c.Name)
	}
	require.NoError(t, strict([]byte(own), &out), c.Name)
	if out.Clusters == nil {
		out.Clusters = map[string]map[string]any{}
	}
	if _, ok := out.Clusters["up"]; !ok {
		out.Clusters["up"] = nil
	}
	return out
}

// strict decodes YAML that has no other fields than v; none at all is fine.
func strict(b []byte, v any) error {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(v); err != io.EOF {
		return err
	}
	return nil
}

type object = map[string]any

const (
	typeURL = "type.googleapis.com/envoy.extensions.filters."
	hcmType = typeURL + "network.http_connection_manager.v3.HttpConnectionManager"
	rtrType = typeURL + "http.router.v3.Router"
	logType = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
)

// caseLog is the access log's format of cases that bring none.
const caseLog = "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% " +
	"received %BYTES_RECEIVED% sent %BYTES_SENT% route %ROUTE_NAME% cluster %UPSTREAM_CLUSTER% host %UPSTREAM_HOST%\n"

// logPath is the access log of a listener below dir.
func logPath(dir, listener string) string { return filepath.Join(dir, listener+".log") }

// Network is where clients and servers are.
type Network struct {
	Dial   func(addr string) (net.Conn, error)
	Listen func() (net.Listener, error) // at an address of the servers'
	Hole   string                       // an address that never answers
	Dead   string                       // the servers' host, of which port 1 is closed
	Hosts  *regexp.Regexp               // addresses in logs that are 127.0.0.1 in the cases
}

// World is a bootstrap file with all cases, and their upstreams.
type World struct {
	File   []byte
	cases  []Case
	net    *Network
	logs   string
	ports  [][]port   // by case
	behind [][]string // by case, the names of its listeners behind
}

// prefix makes the names of a case's parts its own.
func prefix(i int) string { return fmt.Sprintf("c%d", i) }

// Behind is how many listeners of all cases are behind those that clients come in on.
func Behind(t testing.TB, all []Case) (n int) {
	for i := range all {
		c := all[i].config(t)
		n += len(c.Behind)
	}
	return n
}

// New puts the file together; case i listens on listen[i], the listeners behind on the
// addresses behind, and they have their access logs in a directory of the test's. admin
// may be empty. The listeners of the cases come first.
func New(t testing.TB, all []Case, n *Network, listen, behind []string, admin string) *World {
	t.Helper()
	w := &World{cases: all, net: n, logs: t.TempDir(), ports: make([][]port, len(all)), behind: make([][]string, len(all))}
	var listeners, hidden, clusters []any
	for i := range all {
		c := all[i].config(t)
		at := map[string]string{}
		w.behind[i] = slices.Sorted(maps.Keys(c.Behind))
		for _, name := range w.behind[i] {
			at[name], behind = behind[0], behind[1:]
			b := c.Behind[name]
			b.Clusters = c.Clusters
			hidden = append(hidden, b.listener(t, i, prefix(i)+"_"+name, at[name], w.logs))
		}
		for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
			clusters = append(clusters, w.cluster(t, i, name, c.Clusters[name], at))
		}
		listeners = append(listeners, c.listener(t, i, prefix(i), listen[i], w.logs))
	}
	listeners = append(listeners, hidden...)
	file := object{
		"node":             object{"id": "conformance", "cluster": "conformance"},
		"static_resources": object{"listeners": listeners, "clusters": clusters},
	}
	if admin != "" {
		file["admin"] = object{"address": socketAddress(t, admin)}
	}
	var err error
	w.File, err = yaml.Marshal(file)
	require.NoError(t, err)
	return w
}

func (c *caseConfig) listener(t testing.TB, i int, called, address, logs string) object {
	hosts := c.VirtualHosts
	if c.Routes != nil {
		hosts = []any{object{"name": "any", "domains": []any{"*"}, "routes": c.Routes}}
	}
	routes := object{"name": called, "virtual_hosts": hosts}
	maps.Copy(routes, c.RouteConfig)
	manager := object{
		"@type": hcmType, "codec_type": "HTTP1", "stat_prefix": called, "route_config": routes,
		"http_filters": append(slices.Clone(c.Filters), object{"name": "router", "typed_config": object{"@type": rtrType}}),
	}
	maps.Copy(manager, c.Manager)
	names := map[string]string{}
	for name := range c.Clusters {
		names[name] = prefix(i) + "_" + name
	}
	rename(manager, names)
	for _, f := range c.Filters {
		if config := f.(object)["typed_config"].(object); config["stat_prefix"] != nil {
			config["stat_prefix"] = called
		}
	}
	format := object{"text_format_source": object{"inline_string": caseLog}}
	switch f := c.Log.(type) {
	case string:
		format = object{"text_format_source": object{"inline_string": f + "\n"}}
	case object:
		format = object{"json_format": f}
	}
	accessLog := func(format object) object {
		return object{"name": "file", "typed_config": object{"@type": logType, "path": logPath(logs, called), "log_format": format}}
	}
	manager["access_log"] = []any{accessLog(format)}
	if c.LogFilters != nil {
		var all []any
		for _, name := range slices.Sorted(maps.Keys(c.LogFilters)) {
			l := accessLog(object{"text_format_source": object{"inline_string": name + " " + caseLog}})
			l["filter"] = c.LogFilters[name]
			all = append(all, l)
		}
		manager["access_log"] = all
	}
	out := object{
		"name":          called,
		"address":       socketAddress(t, address),
		"filter_chains": []any{object{"filters": []any{object{"name": "http", "typed_config": manager}}}},
	}
	if c.ListenerLog != "" {
		out["access_log"] = []any{accessLog(object{"text_format_source": object{"inline_string": c.ListenerLog + "\n"}})}
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
			if s, ok := e.(string); ok && (k == "cluster" || k == "upstream_cluster" || k == "name") && names[s] != "" && (k != "name" || v["weight"] != nil) {
				v[k] = names[s]
			}
			rename(e, names)
		}
	}
}

// cluster is one of case i, whose listeners behind are at addresses.
func (w *World) cluster(t testing.TB, i int, name string, c object, at map[string]string) object {
	var addresses []string
	n := 1
	switch e := c["endpoints"].(type) {
	case int:
		n = e
	case []any:
		n = 0
		for _, a := range e {
			if a == "blackhole" {
				a = w.net.Hole
			} else if l := at[a.(string)]; l != "" {
				addresses = append(addresses, l)
				continue
			}
			addresses = append(addresses, strings.Replace(a.(string), "127.0.0.1", w.net.Dead, 1))
		}
	}
	for _, ln := range w.upstreams(t, n) {
		w.ports[i] = append(w.ports[i], port{ln, name})
		addresses = append(addresses, ln.Addr().String())
	}
	assigned := object{"cluster_name": prefix(i) + "_" + name}
	var endpoints []any
	for _, a := range addresses {
		e := object{"address": socketAddress(t, a)}
		if c["hostname"] != nil {
			e["hostname"] = c["hostname"]
		}
		endpoints = append(endpoints, object{"endpoint": e})
	}
	if endpoints != nil {
		assigned["endpoints"] = []any{object{"lb_endpoints": endpoints}}
	}
	out := object{"name": prefix(i) + "_" + name, "load_assignment": assigned}
	for k, v := range c {
		if k != "endpoints" && k != "hostname" {
			out[k] = v
		}
	}
	return out
}

func socketAddress(t testing.TB, address string) object {
	a, err := netip.ParseAddrPort(address)
	require.NoError(t, err)
	return object{"socket_address": object{"address": a.Addr().String(), "port_value": int(a.Port())}}
}

// upstreams opens n listeners.
func (w *World) upstreams(t testing.TB, n int) (lns []net.Listener) {
	t.Helper()
	for range n {
		ln, err := w.net.Listen()
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		lns = append(lns, ln)
	}
	return lns
}
