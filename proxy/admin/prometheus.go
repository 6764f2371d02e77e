package admin

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// tags are the parts of a stat's name that Prometheus gets as labels, by Envoy's
// rules: the first group is what is taken out of the name, the second the value.
// They apply in this order, which is also that of the labels.
var tags = []struct {
	label string
	find  *regexp.Regexp
}{
	{"envoy_response_code", regexp.MustCompile(`_rq(_(\d{3}))$`)},
	{"envoy_response_code_class", regexp.MustCompile(`_rq(_(\d))xx$`)},
	{"envoy_http_conn_manager_prefix", regexp.MustCompile(`^(?:listener\.[^.]+(?:\.\d+)*(?:_\d+)?\.)?http\.((.*?)\.)(?:downstream|no_|rq_|rs_|fault|passthrough)`)},
	{"envoy_cluster_name", regexp.MustCompile(`^cluster\.((.*?)\.)(?:upstream|membership|lb_|ssl\.|outlier|health_|circuit|default\.|external\.|internal\.|retry|max_host|bind_|update_|version|assignment|warming|original)`)},
	{"envoy_listener_address", regexp.MustCompile(`^listener\.(((?:[\d.]+|\[[0-9a-fA-F:_]+\])_\d+)\.)`)},
	{"envoy_ssl_cipher", regexp.MustCompile(`\bssl\.ciphers(\.(.*))$`)},
	{"envoy_ssl_version", regexp.MustCompile(`\bssl\.versions(\.(.*))$`)},
	{"envoy_ssl_curve", regexp.MustCompile(`\bssl\.curves(\.(.*))$`)},
	{"envoy_ssl_sigalg", regexp.MustCompile(`\bssl\.sigalgs(\.(.*))$`)},
}

// promName splits a stat's name into a metric's name and its labels. A class of
// response codes keeps its xx, as in envoy_cluster_upstream_rq_xx.
func promName(name string) (metric, labels string) {
	var ls []string
	rest := name
	// Each rule looks at the whole name; what it takes out is cut afterwards,
	// from the back.
	var cuts [][2]int
	for _, t := range tags {
		if m := t.find.FindStringSubmatchIndex(name); m != nil {
			ls = append(ls, fmt.Sprintf("%s=%q", t.label, name[m[4]:m[5]]))
			cuts = append(cuts, [2]int{m[2], m[3]})
		}
	}
	slices.SortFunc(cuts, func(a, b [2]int) int { return b[0] - a[0] })
	for _, c := range cuts {
		rest = rest[:c[0]] + rest[c[1]:]
	}
	// ssl.ciphers.X loses X, and with it nothing else.
	rest = strings.ReplaceAll(rest, "_rqxx", "_rq_xx")
	return "envoy_" + notMetric.ReplaceAllString(rest, "_"), strings.Join(ls, ",")
}

var notMetric = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// writePrometheus writes stats in the text format of Prometheus, counters first
// as Envoy does.
func writePrometheus(w io.Writer, stats []mesh.Stat) {
	type line struct {
		metric, labels string
		st             mesh.Stat
	}
	var lines []line
	for _, st := range stats {
		m, l := promName(st.Name)
		lines = append(lines, line{m, l, st})
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		if a.st.Gauge != b.st.Gauge {
			if a.st.Gauge {
				return 1
			}
			return -1
		}
		return strings.Compare(a.metric, b.metric)
	})
	last := ""
	for _, l := range lines {
		if kind := "counter"; l.metric != last {
			if l.st.Gauge {
				kind = "gauge"
			}
			fmt.Fprintf(w, "# TYPE %s %s\n", l.metric, kind)
			last = l.metric
		}
		fmt.Fprintf(w, "%s{%s} %d\n", l.metric, l.labels, l.st.Value)
	}
}
