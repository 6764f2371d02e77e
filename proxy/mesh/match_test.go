package mesh

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeaderMatch(t *testing.T) {
	is := func(kind, text string) *StringMatch { return &StringMatch{Kind: kind, Text: text} }
	for _, c := range []struct {
		fields string
		m      HeaderMatch
		want   bool
	}{
		{"end-user: jason\r\n", HeaderMatch{Name: "End-User", Value: is(MatchExact, "jason")}, true},
		{"end-user: Jason\r\n", HeaderMatch{Name: "end-user", Value: is(MatchExact, "jason")}, false},
		{"end-user: JASON\r\n", HeaderMatch{Name: "end-user", Value: &StringMatch{Kind: MatchExact, Text: "Jason", IgnoreCase: true}}, true},
		{"", HeaderMatch{Name: "end-user", Value: is(MatchExact, "jason")}, false},
		{"", HeaderMatch{Name: "end-user", Value: is(MatchExact, "jason"), Invert: true}, false},
		{"end-user: x\r\n", HeaderMatch{Name: "end-user", Value: is(MatchExact, "jason"), Invert: true}, true},
		{"end-user:\r\n", HeaderMatch{Name: "end-user"}, true},
		{"", HeaderMatch{Name: "end-user"}, false},
		{"", HeaderMatch{Name: "end-user", Invert: true}, true},
		{"a: 1\r\nA: 2\r\n", HeaderMatch{Name: "a", Value: is(MatchExact, "1,2")}, false},
		{"a: 1\r\nA: 2\r\n", HeaderMatch{Name: "a", Value: is(MatchExact, "2")}, true},
		{"a: 1\r\nA: 2\r\n", HeaderMatch{Name: "a", Value: is(MatchExact, "2"), Invert: true}, false},
		{"a: abc\r\n", HeaderMatch{Name: "a", Value: is(MatchPrefix, "ab")}, true},
		{"a: abc\r\n", HeaderMatch{Name: "a", Value: is(MatchPrefix, "abcd")}, false},
		{"a: abc\r\n", HeaderMatch{Name: "a", Value: is(MatchSuffix, "bc")}, true},
		{"a: abc\r\n", HeaderMatch{Name: "a", Value: is(MatchSuffix, "xabc")}, false},
		{"a: abc\r\n", HeaderMatch{Name: "a", Value: &StringMatch{Kind: MatchContains, Text: "BC", IgnoreCase: true}}, true},
		{"a: abc\r\n", HeaderMatch{Name: "a", Value: is(MatchContains, "ca")}, false},
		{"a: abc\r\n", HeaderMatch{Name: "a", Value: is(MatchRegex, "a.c|x")}, true},
		{"a: abcd\r\n", HeaderMatch{Name: "a", Value: is(MatchRegex, "a.c|x")}, false},
		{"", HeaderMatch{Name: ":method", Value: is(MatchExact, "GET")}, true},
		{"", HeaderMatch{Name: ":path", Value: is(MatchPrefix, "/p?")}, true},
		{"", HeaderMatch{Name: ":authority", Value: is(MatchExact, "a")}, true},
	} {
		cfg := config()
		cfg.Listeners[0].VirtualHosts[0].Routes[0].Headers = []HeaderMatch{c.m}
		require.NoError(t, cfg.Validate(), "%+v", c.m)
		m := compileHeaders([]HeaderMatch{c.m})
		h := head(t, "GET /p?q HTTP/1.1\r\nHost: a\r\n"+c.fields+"\r\n")
		require.Equal(t, c.want, m[0].matches(h), "%q %+v %+v", c.fields, c.m, c.m.Value)
	}
}

func TestWeightedClusters(t *testing.T) {
	cfg := config()
	cfg.Clusters = append(cfg.Clusters, Cluster{Name: "v2"}, Cluster{Name: "never"})
	r := &cfg.Listeners[0].VirtualHosts[0].Routes[0]
	first := cfg.Clusters[0].Name
	r.Cluster, r.Clusters = "", []WeightedCluster{{Name: first, Weight: 1}, {Name: "never", Weight: 0}, {Name: "v2", Weight: 3}}
	table, err := Compile(cfg)
	require.NoError(t, err)
	route := &table.Listeners[0].any.routes[0]
	counts := map[string]int{}
	for x := range uint64(400) {
		counts[table.Clusters[route.Cluster(func() uint64 { return x })].Name]++
	}
	require.Equal(t, map[string]int{first: 100, "v2": 300}, counts)
}

func TestRouteMistakes(t *testing.T) {
	for want, change := range map[string]func(*Route){
		`has 2 of prefix, path, path_separated_prefix and safe_regex`:       func(r *Route) { r.Separated = "/a" },
		`path_separated_prefix: "/a/" does not begin with /, or ends in`:    func(r *Route) { r.Prefix, r.Separated = "", "/a/" },
		`safe_regex: error parsing regexp`:                                  func(r *Route) { r.Prefix, r.Regex = "", "[" },
		`has 2 of cluster, weighted_clusters, direct_response and redirect`: func(r *Route) { r.Clusters = []WeightedCluster{{Name: r.Cluster, Weight: 1}} },
		`weighted_clusters[0].name: no cluster is named "x"`:                func(r *Route) { r.Cluster, r.Clusters = "", []WeightedCluster{{Name: "x", Weight: 1}} },
		`weighted_clusters: weights add up to 0`:                            func(r *Route) { r.Clusters = []WeightedCluster{{Name: r.Cluster, Weight: 0}}; r.Cluster = "" },
		`headers[0].name: is empty`:                                         func(r *Route) { r.Headers = []HeaderMatch{{}} },
		`headers[0].name: is ":scheme"`:                                     func(r *Route) { r.Headers = []HeaderMatch{{Name: ":scheme"}} },
		`headers[0].value.kind: is "like", want one of exact, prefix`:       func(r *Route) { r.Headers = []HeaderMatch{{Name: "a", Value: &StringMatch{Kind: "like"}}} },
		`headers[0].value.text: is empty`:                                   func(r *Route) { r.Headers = []HeaderMatch{{Name: "a", Value: &StringMatch{Kind: MatchPrefix}}} },
		`headers[0].value.text: error parsing regexp: missing closing )`: func(r *Route) {
			r.Headers = []HeaderMatch{{Name: "a", Value: &StringMatch{Kind: MatchRegex, Text: "(("}}}
		},
		`headers[0].value.ignore_case: is not for safe_regex; begin the e`: func(r *Route) {
			r.Headers = []HeaderMatch{{Name: "a", Value: &StringMatch{Kind: MatchRegex, Text: "a", IgnoreCase: true}}}
		},
	} {
		cfg := config()
		change(&cfg.Listeners[0].VirtualHosts[0].Routes[0])
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

func TestPathForms(t *testing.T) {
	for _, c := range []struct {
		r    Route
		path string
		want bool
	}{
		{Route{Separated: "/api"}, "/api", true},
		{Route{Separated: "/api"}, "/api/", true},
		{Route{Separated: "/api"}, "/api/x", true},
		{Route{Separated: "/api"}, "/apix", false},
		{Route{Separated: "/api"}, "/ap", false},
		{Route{Regex: "/v[12]/.*"}, "/v1/x", true},
		{Route{Regex: "/v[12]/.*"}, "/v3/x", false},
		{Route{Regex: "/a|/b"}, "/a", true},
		{Route{Regex: "/a|/b"}, "/ab", false},
		{Route{Prefix: "/a"}, "/ab", true},
		{Route{Path: "/a"}, "/ab", false},
	} {
		var e RouteEntry
		e.compilePath(&c.r)
		require.Equal(t, c.want, e.takes([]byte(c.path)), "%s at %s", &e, c.path)
	}
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	m := compileHeaders([]HeaderMatch{{Name: "a", Value: &StringMatch{Kind: MatchRegex, Text: "x.*|y"}}, {Name: "b"}, {Name: ":method", Value: &StringMatch{Kind: MatchExact, Text: "GET"}}})
	h := head(t, "GET / HTTP/1.1\r\nHost: a\r\na: xyz\r\nb: 1\r\n\r\n")
	r := RouteEntry{headers: m}
	require.True(t, r.wants(h))
	require.Zero(t, testing.AllocsPerRun(1000, func() { r.wants(h) }))
}
