package mesh

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
)

// rewritten is the table of a route that matches by prefix /a and rewrites.
func rewritten(t testing.TB, w Rewrite) *Table {
	cfg := config()
	r := &cfg.Listeners[0].VirtualHosts[0].Routes[0]
	r.Prefix, r.Path, r.Rewrite = "/a", "", w
	table, err := Compile(cfg)
	require.NoError(t, err)
	return table
}

func TestRewriteDoesNotAllocate(t *testing.T) {
	table := rewritten(t, Rewrite{Prefix: "/b", Host: "c"})
	h := head(t, "GET /a/x?y HTTP/1.1\r\nHost: a\r\nx-envoy-original-path: 1\r\n\r\n")
	r := table.Listeners[0].Route(h)
	ids, dst := NewRequestIDs([32]byte{}), make([]byte, 0, 4096)
	require.True(t, strings.HasPrefix(string(AppendRequest(dst, h, r, ids, nil)), "GET /b/x?y HTTP/1.1\r\nhost: c\r\nx-envoy-original-path: /a/x?y\r\n"))
	require.Zero(t, testing.AllocsPerRun(100, func() { AppendRequest(dst, h, r, ids, nil) }))
}

func TestRewriteIsValidated(t *testing.T) {
	for want, w := range map[string]Rewrite{
		`rewrite: has prefix_rewrite and regex_rewrite, want one of them`: {Prefix: "/", Regex: "x"},
		`rewrite.prefix_rewrite: "b" does not begin with /`:               {Prefix: "b"},
		`rewrite.prefix_rewrite: "/b\r\nx: y" has a space`:                {Prefix: "/b\r\nx: y"},
		`rewrite.host_rewrite_literal: "a b" has a space`:                 {Host: "a b"},
		`rewrite.regex_rewrite: error parsing regexp`:                     {Regex: "("},
		`rewrite.substitution: is without a regex_rewrite`:                {Substitution: "x"},
		`rewrite.substitution: names group 2, and the expression has 1`:   {Regex: "(x)", Substitution: `\2`},
		`rewrite.substitution: "\\x" has a \ that stands before neither`:  {Regex: "x", Substitution: `\x`},
		`rewrite.substitution: "x\\" has a \ that stands before neither`:  {Regex: "x", Substitution: `x\`},
		`rewrite.substitution: "a b" has a space or a control character`:  {Regex: "x", Substitution: `a b`},
	} {
		cfg := config()
		cfg.Listeners[0].VirtualHosts[0].Routes[0].Rewrite = w
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

// FuzzRewrite: whatever a valid rewrite makes of a path, the head stays one line
// of a method, a target without spaces and a version.
func FuzzRewrite(f *testing.F) {
	f.Add("/b", "", "", "/a/x?y")
	f.Add("", "/a(.*)", `/\1/\0`, "/a/x?y")
	f.Add("", "x*", "-", "/axx")
	f.Fuzz(func(t *testing.T, prefix, regex, by, path string) {
		cfg := config()
		r := &cfg.Listeners[0].VirtualHosts[0].Routes[0]
		r.Prefix, r.Path, r.Rewrite = "/a", "", Rewrite{Prefix: prefix, Regex: regex, Substitution: by}
		table, err := Compile(cfg)
		if err != nil {
			return
		}
		var h http1.Head
		h.Reset(false)
		if n, err := h.Parse([]byte("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil || n == 0 {
			return
		}
		e := table.Listeners[0].Route(&h)
		if e == nil {
			return
		}
		line, _, _ := strings.Cut(string(AppendRequest(nil, &h, e, NewRequestIDs([32]byte{}), nil)), "\r\n")
		require.NotContains(t, line, "  ", "no target")
		require.Len(t, strings.Split(line, " "), 3, "%q", line)
		require.True(t, strings.HasPrefix(line, "GET ") && strings.HasSuffix(line, " HTTP/1.1"), "%q", line)
		require.False(t, strings.ContainsAny(line, "\r\n\x00"), "%q", line)
	})
}
