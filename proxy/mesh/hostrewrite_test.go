package mesh

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
)

func TestHostRewrite(t *testing.T) {
	ids := NewRequestIDs([32]byte{})
	for _, tt := range []struct {
		w      Rewrite
		fields string
		host   string
		has    []string
	}{
		{Rewrite{HostHeader: "X-To"}, "x-to: b\r\nx-to: c", "b", []string{"x-envoy-original-host: h"}},
		{Rewrite{HostHeader: "x-to"}, "x-to:", "h", nil},
		{Rewrite{HostHeader: "x-to"}, "x-too: b", "h", nil},
		{Rewrite{HostRegex: &HostRegex{Regex: "^/a/(.*)$", Substitution: `\1`}}, "x: y", "b", []string{"x-envoy-original-host: h"}},
		{Rewrite{HostRegex: &HostRegex{Regex: ".*"}}, "x: y", "h", nil},
		{Rewrite{Host: "c", AppendHost: true}, "x: y", "c", []string{"x-envoy-original-host: h", "x-forwarded-host: h"}},
		{Rewrite{Host: "c", AppendHost: true}, "x-forwarded-host: a\r\nx-envoy-original-host: longer", "c", []string{"x-envoy-original-host: h", "x-forwarded-host: a,h"}},
		{Rewrite{Host: "c", AppendHost: true}, "x-envoy-original-host: longer\r\nx-forwarded-host: a,h", "c", []string{"x-envoy-original-host: h", "x-forwarded-host: a,h"}},
		{Rewrite{AppendHost: true}, "x: y", "h", nil},
		{Rewrite{AutoHost: true}, "x: y", "h", nil},
	} {
		h := head(t, "GET /a/b?c HTTP/1.1\r\nHost: h\r\n"+tt.fields+"\r\n\r\n")
		out := string(AppendRequest([]byte("before"), h, rewritten(t, tt.w).Listeners[0].Route(h), ids, nil))
		require.True(t, strings.HasPrefix(out, "beforeGET /a/b?c HTTP/1.1\r\nhost: "+tt.host+"\r\n"), out)
		for _, line := range tt.has {
			require.Equal(t, 1, strings.Count(out, "\r\n"+line+"\r\n"), out)
		}
		if tt.has == nil {
			require.NotContains(t, out, "x-envoy-original-host")
			require.NotContains(t, out, "x-forwarded-host")
		}
		require.True(t, strings.HasSuffix(out, "\r\n\r\n") && strings.Count(out, "\r\n\r\n") == 1, "%q", out)
	}
}

func TestRehost(t *testing.T) {
	r := rewritten(t, Rewrite{AutoHost: true, AppendHost: true}).Listeners[0].Route(head(t, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"))
	require.True(t, r.AutoHost())
	for in, want := range map[string]string{
		"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n\r\n":                                      "GET / HTTP/1.1\r\nhost: name\r\na: b\r\nx-envoy-original-host: h\r\nx-forwarded-host: h\r\n\r\n",
		"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n":      "POST / HTTP/1.1\r\nhost: name\r\nx-envoy-original-host: h\r\nx-forwarded-host: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nhost: h\r\nx-forwarded-host: a\r\ncontent-length: 0\r\n\r\n": "POST / HTTP/1.1\r\nhost: name\r\nx-forwarded-host: a,h\r\nx-envoy-original-host: h\r\ncontent-length: 0\r\n\r\n",
	} {
		require.Equal(t, want, string(r.Rehost([]byte(in), "name")))
	}
}

func TestRename(t *testing.T) {
	require.Equal(t, "GET / HTTP/1.1\r\nhost: longer\r\na: b\r\n\r\n", string(Rename([]byte("GET / HTTP/1.1\r\nhost: h\r\na: b\r\n\r\n"), "longer")))
}

func TestEntryRehost(t *testing.T) {
	h := head(t, "GET /a HTTP/1.1\r\nHost: h\r\nx: y\r\n\r\n")
	r := rewritten(t, Rewrite{AutoHost: true}).Listeners[0].Route(h)
	out := AppendRequest(nil, h, r, NewRequestIDs([32]byte{}), nil)
	var e, want Entry
	e.Keep(out)
	e.Rehost(r, "name")
	want.Keep(r.Rehost(out, "name"))
	require.Equal(t, want.Request, e.Request)
	require.Equal(t, "GET /a name", string(e.Method)+" "+string(e.Path)+" "+string(e.Authority))
}

func TestHostRewriteIsValidated(t *testing.T) {
	for want, w := range map[string]Rewrite{
		`rewrite: has 2 rewrites of the host, want one`:                    {Host: "a", AutoHost: true},
		`rewrite.host_rewrite_header: "a b" is not a header's name`:        {HostHeader: "a b"},
		`rewrite.host_rewrite_header: Host cannot be changed`:              {HostHeader: "Host"},
		`rewrite.host_rewrite_path_regex: "(" is no expression`:            {HostRegex: &HostRegex{Regex: "("}},
		`rewrite.host_rewrite_path_regex.substitution: "a b" has a space`:  {HostRegex: &HostRegex{Regex: "x", Substitution: "a b"}},
		`rewrite.host_rewrite_path_regex.substitution: names group 1, and`: {HostRegex: &HostRegex{Regex: "x", Substitution: `\1`}},
	} {
		cfg := config()
		cfg.Listeners[0].VirtualHosts[0].Routes[0].Rewrite = w
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

func TestToward(t *testing.T) {
	cfg := config()
	r := &cfg.Listeners[0].VirtualHosts[0].Routes[0]
	first := r.Cluster
	r.Cluster, r.Clusters = "", []WeightedCluster{{Name: first, Weight: 1, Host: "w"}, {Name: first, Weight: 1}}
	r.Rewrite.AutoHost = true
	require.ErrorContains(t, cfg.Validate(), "weighted_clusters[0].host_rewrite_literal: is given, and a rewrite of the route's host as well")
	r.Rewrite.AutoHost = false
	r.Clusters[0].Host = "a b"
	require.ErrorContains(t, cfg.Validate(), `host_rewrite_literal: "a b" has a space`)
	r.Clusters[0].Host = "w"
	r.Prefix, r.Path = "/", ""
	table, err := Compile(cfg)
	require.NoError(t, err)
	h := head(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	e := table.Listeners[0].Route(h)
	require.True(t, e.Differs())
	for draw, want := range []string{"w", "h"} {
		n, as := e.Toward(func() uint64 { return uint64(draw) })
		require.Zero(t, n)
		out := string(AppendRequest(nil, h, as, NewRequestIDs([32]byte{}), nil))
		require.Contains(t, out, "\r\nhost: "+want+"\r\n")
		require.NotContains(t, out, "original")
		require.Zero(t, testing.AllocsPerRun(10, func() { e.Toward(func() uint64 { return uint64(draw) }) }))
	}
}

// FuzzSetHost: whatever the fields, the head stays one that reads back with the host.
func FuzzSetHost(f *testing.F) {
	f.Add("x-forwarded-host: a\r\nx-to: b\r\n", "b")
	f.Add("x-envoy-original-host: a\r\nx-forwarded-host:\r\nx-forwarded-host: c\r\n", "b")
	f.Fuzz(func(t *testing.T, fields, name string) {
		if name == "" || strings.ContainsAny(name, "\r\n") {
			return
		}
		var h, again http1.Head
		h.Reset(false)
		again.Reset(false)
		if n, err := h.Parse([]byte("GET /a HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n")); err != nil || n == 0 {
			return
		}
		r := rewritten(t, Rewrite{AutoHost: true, AppendHost: true}).Listeners[0].Route(&h)
		if r == nil {
			return
		}
		out := r.Rehost(AppendRequest(nil, &h, r, NewRequestIDs([32]byte{}), nil), name)
		lines := strings.Split(string(out), "\r\n")
		require.Equal(t, "host: "+name, lines[1])
		for _, key := range []string{"\r\nx-forwarded-host: ", "\r\nx-envoy-original-host: "} {
			require.Equal(t, 1, strings.Count(string(out), key), "%q", out)
		}
	})
}
