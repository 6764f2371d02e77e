package mesh

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
)

// redirected is the route that redirects what begins with /a.
func redirected(t testing.TB, d Redirect) *RouteEntry {
	cfg := config()
	r := &cfg.Listeners[0].VirtualHosts[0].Routes[0]
	r.Prefix, r.Path, r.Cluster, r.Redirect = "/a", "", "", &d
	table, err := Compile(cfg)
	require.NoError(t, err)
	return table.Listeners[0].Route(head(t, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"))
}

func TestLocation(t *testing.T) {
	for _, tt := range []struct {
		d        Redirect
		ask      string
		secure   bool
		location string
		logged   string // the request as it is logged, where that is not as it came
	}{
		{Redirect{Scheme: "ftp"}, "/a?b | h:80", false, "ftp://h/a?b", ""},
		{Redirect{Scheme: "http"}, "/a | h:443", true, "http://h/a", ""},
		{Redirect{HTTPS: true}, "/a | h:80\r\nx-forwarded-proto: ws", false, "https://h:80/a", ""},
		{Redirect{HTTPS: true}, "/a | h:443\r\nx-forwarded-proto: HTTPS", false, "https://h/a", ""},
		{Redirect{Prefix: "/b"}, "/a/x?y=/a", false, "http://h/b/x?y=/a", "GET /b/x?y=/a"},
		{Redirect{Prefix: "b?c=", StripQuery: true}, "/a/x?y", false, "http://h/b", "GET b?c=/x?y"},
		{Redirect{Prefix: "b?c=", Port: 81}, "/a/x?y", false, "http://h:81/b?c=/x?y", "GET b?c=/x?y"},
		{Redirect{Regex: "(.)/(.)", Substitution: `\2/\1`, Host: "n"}, "/a/x", true, "https://n/x/a", "GET /x/a"},
		{Redirect{Regex: ".*", Substitution: "", Host: "n"}, "/a?b", false, "http://n/a?b", ""},
	} {
		r := redirected(t, tt.d)
		path, host, _ := strings.Cut(tt.ask, " | ")
		if host == "" {
			host = "h"
		}
		h := head(t, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		reply, ok := r.Direct(h, tt.secure)
		require.True(t, ok)
		require.Equal(t, tt.location, reply.Location, "%+v", tt)
		out := string(AppendRequest(nil, h, r.Answered(), NewRequestIDs([32]byte{}), nil))
		if tt.logged == "" {
			tt.logged = "GET " + path
			require.NotContains(t, out, "x-envoy-original-path")
		} else {
			require.Contains(t, out, "x-envoy-original-path: "+path+"\r\n")
		}
		require.True(t, strings.HasPrefix(out, tt.logged+" HTTP/1.1\r\n"), out)
	}
}

func TestRedirectIsValidated(t *testing.T) {
	for want, d := range map[string]Redirect{
		`redirect.scheme_redirect: and https_redirect are given, want one`:      {Scheme: "http", HTTPS: true},
		`redirect.path_redirect: and a rewrite of the path are given, want one`: {Path: "/", Prefix: "/"},
		`redirect: has prefix_rewrite and regex_rewrite, want one of them`:      {Prefix: "/", Regex: "x"},
		`redirect: "/\r\n" has a control character`:                             {Prefix: "/\r\n"},
		`redirect: "\x00" has a control character`:                              {Scheme: "\x00"},
		`redirect.regex_rewrite: error parsing regexp`:                          {Regex: "("},
		`redirect.substitution: names group 1, and the expression has 0`:        {Regex: "x", Substitution: `\1`},
		`redirect.status: is 300, want one of 301 302 303 307 308`:              {Status: 300},
	} {
		cfg := config()
		r := &cfg.Listeners[0].VirtualHosts[0].Routes[0]
		r.Cluster, r.Redirect = "", &d
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

// FuzzLocation: whatever is asked for, a location is one line with a scheme, a host
// and a path.
func FuzzLocation(f *testing.F) {
	f.Add("https", "/b", "", "", "/a/x?y", uint16(0), true)
	f.Add("", "", "/a(.*)", `\1`, "http://h?y", uint16(8443), false)
	f.Fuzz(func(t *testing.T, scheme, prefix, regex, by, target string, port uint16, strip bool) {
		cfg := config()
		r := &cfg.Listeners[0].VirtualHosts[0].Routes[0]
		r.Prefix, r.Path, r.Cluster = "/", "", ""
		r.Redirect = &Redirect{Scheme: scheme, Prefix: prefix, Regex: regex, Substitution: by, Port: port, StripQuery: strip}
		table, err := Compile(cfg)
		if err != nil {
			return
		}
		var h http1.Head
		h.Reset(false)
		if n, err := h.Parse([]byte("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil || n == 0 {
			return
		}
		e := table.Listeners[0].Route(&h)
		if e == nil {
			return
		}
		reply, ok := e.Direct(&h, false)
		require.True(t, ok)
		require.False(t, strings.ContainsAny(reply.Location, "\r\n\x00"), "%q", reply.Location)
		rest, found := strings.CutPrefix(reply.Location, map[bool]string{true: "http", false: scheme}[scheme == ""]+"://")
		require.True(t, found, "%q", reply.Location)
		require.Contains(t, rest, "/")
		if strip {
			require.NotContains(t, rest, "?")
		}
	})
}
