package mesh

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMutationsDoNotAllocate(t *testing.T) {
	cfg := config()
	cfg.Listeners[0].Mutate.Request = Mutations{Remove: []string{"X-Gone"}, Add: []HeaderValue{{Name: "X-A", Value: "1"}, {Name: "accept", Value: "b"}}}
	cfg.Listeners[0].VirtualHosts[0].Mutate.Request = Mutations{Add: []HeaderValue{{Name: "x-b", Value: "2", Action: OverwriteOrAdd}, {Name: "x-a", Value: "0", Action: AddIfAbsent}}}
	table, err := Compile(cfg)
	require.NoError(t, err)
	h := head(t, "GET /a HTTP/1.1\r\nHost: a\r\nx-gone: 1\r\naccept: a\r\nX-B: 1\r\nx-gone: 2\r\n\r\n")
	r := table.Listeners[0].Route(h)
	ids, dst := NewRequestIDs([32]byte{}), make([]byte, 0, 4096)
	out := string(AppendRequest(dst, h, r, ids, nil))
	require.Regexp(t, `^GET /a HTTP/1.1\r\nhost: a\r\naccept: a,b\r\nx-forwarded-proto: http\r\nx-request-id: \S+\r\nx-envoy-expected-rq-timeout-ms: 1000\r\nx-b: 2\r\nx-a: 0\r\nx-a: 1\r\n\r\n$`, out)
	require.Zero(t, testing.AllocsPerRun(100, func() { AppendRequest(dst, h, r, ids, nil) }))
}

func TestMutationsAreValidated(t *testing.T) {
	add := func(name, value string, action AppendAction) Mutations {
		return Mutations{Add: []HeaderValue{{Name: name, Value: value, Action: action}}}
	}
	for want, m := range map[string]Mutations{
		`request.add[0].name: "" is not a header's name`:            add("", "x", ""),
		`request.add[0].name: "a b" is not a header's name`:         add("a b", "x", ""),
		`request.add[0].name: ":path" is not a header's name`:       add(":path", "x", ""),
		`request.add[0].name: Host cannot be changed`:               add("Host", "x", ""),
		`request.add[0].value: "a\r\nb: c" has a control character`: add("x", "a\r\nb: c", ""),
		`request.add[0].append_action: is "SOMETIMES", want one of`: add("x", "a", "SOMETIMES"),
		`request.remove[0]: content-length cannot be changed`:       {Remove: []string{"content-length"}},
		`request.add: has 65 entries, want at most 64`:              {Add: make([]HeaderValue, 65)},
	} {
		for path, change := range map[string]func(c *Config){
			"listeners[0].":                            func(c *Config) { c.Listeners[0].Mutate.Request = m },
			"listeners[0].virtual_hosts[0].":           func(c *Config) { c.Listeners[0].VirtualHosts[0].Mutate.Request = m },
			"listeners[0].virtual_hosts[0].routes[0].": func(c *Config) { c.Listeners[0].VirtualHosts[0].Routes[0].Mutate.Request = m },
		} {
			cfg := config()
			change(&cfg)
			require.ErrorContains(t, cfg.Validate(), path+"mutate_headers."+want)
		}
	}
}

// FuzzMutate: whatever is taken out and added, lines stay lines; what is removed
// and not added is gone.
func FuzzMutate(f *testing.F) {
	f.Add("accept: a\r\nb: c\r\n", "b", "accept", "x", uint8(0))
	f.Add("a: 1\r\na: 2\r\n", "x", "a", "3", uint8(2))
	f.Add("vary:\r\n", "x", "vary", "3", uint8(0))
	f.Add("a: 1\r\n", "x", "b", "%REQ(a)% %QUERY_PARAM(a)% 100%%", uint8(0))
	f.Fuzz(func(t *testing.T, fields, remove, name, value string, action uint8) {
		for _, line := range strings.SplitAfter(fields, "\r\n") {
			n, v, ok := strings.Cut(strings.TrimSuffix(line, "\r\n"), ": ")
			if line != "" && (!ok || !strings.HasSuffix(line, "\r\n") || n != strings.ToLower(n) || strings.ContainsAny(n, ":\r\n") || strings.ContainsAny(v, "\r\n") || n == "") {
				return
			}
		}
		m := Mutations{Remove: []string{remove}, Add: []HeaderValue{{Name: name, Value: value, Action: AppendAction(AppendActions()[action%4])}}}
		v := validator{}
		v.mutations("", &HeaderMutations{Request: m})
		if len(v.errs) > 0 {
			return
		}
		const before = "GET / HTTP/1.1\r\n"
		levels := compileMutations(&m)
		e := &Entry{Head: true, Path: []byte("/?a=%0d%0ab"), Status: 200}
		out := mutate([]byte(before+fields), len(before), levels, joinedOfRequests, e, &e.Request)
		require.True(t, bytes.HasPrefix(out, []byte(before)))
		out = out[len(before):]
		require.True(t, len(out) == 0 || bytes.HasSuffix(out, []byte("\r\n")), "%q", out)
		for _, line := range strings.Split(strings.TrimSuffix(string(out), "\r\n"), "\r\n") {
			require.True(t, line == "" || strings.Contains(line, ": "), "%q", out)
		}
		if !strings.EqualFold(remove, name) {
			require.Negative(t, find(out, []byte(strings.ToLower(remove))))
		} else if value != "" && !formatted(levels) && m.Add[0].Action != OverwriteIfExists {
			require.GreaterOrEqual(t, find(out, []byte(strings.ToLower(name))), 0)
		}
	})
}
