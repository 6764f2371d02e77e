package mesh

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
)

// sampleEntry is what is known of a request that went well.
func sampleEntry() *Entry {
	e := &Entry{Remote: netip.MustParseAddrPort("10.0.0.1:4000"), Local: netip.MustParseAddrPort("[::1]:80"), Direct: netip.MustParseAddrPort("127.0.0.1:15006"), Connection: 7, Hostname: "pod"}
	e.Begin(time.Date(2026, 2, 3, 4, 5, 6, 78_901_234, time.UTC).UnixNano())
	e.Keep([]byte("GET /p?a=1 HTTP/1.1\r\nhost: h\r\nuser-agent: ua\r\nx-request-id: id\r\nx-envoy-original-path: /o?a=1\r\n\r\n"))
	e.KeepResponse([]byte("HTTP/1.1 200 OK\r\nx-r: r\r\nx-envoy-upstream-service-time: 3\r\n\r\nbody"))
	e.Status, e.Received, e.Sent, e.Details, e.Cluster, e.Attempts = 200, 5, 6, "via_upstream", "c", 1
	e.Upstream, e.UpstreamLocal = netip.MustParseAddrPort("10.0.0.2:9080"), netip.MustParseAddrPort("10.0.0.1:5000")
	for p, ms := range []int64{RequestEnds: 1, PoolReady: 2, UpstreamBegins: 2, UpstreamEnds: 3, ResponseBegins: 10, ResponseEnds: 20, DownstreamBegins: 11, DownstreamEnds: 21, RequestOver: 22} {
		e.Reach(Point(p), ms*1e6)
	}
	return e
}

func TestFormats(t *testing.T) {
	for _, tt := range []struct{ format, want string }{
		{"", ""}, {"text", "text"}, {"100%%", "100%"}, {"%%REQ(a)%%", "%REQ(a)%"},
		{"%START_TIME%", "2026-02-03T04:05:06.078Z"},
		{"%START_TIME(%Y/%m/%d %H:%M:%S.%3f %s %f %9f %1f %E4S %E0S %z %Ez %Z%%)%", "2026/02/03 04:05:06.078 1770091506 078901234 078901234 0 06.0789 06 +0000 +00:00 UTC%"},
		{"%START_TIME(%y %b %B %a %A %e %j %p %I %F %T %D %R %k %l %u %w %h %C %c %x %X %r)%",
			"26 Feb February Tue Tuesday  3 034 AM 04 2026-02-03 04:05:06 02/03/26 04:05  4  4 2 2 Feb 20 Tue Feb  3 04:05:06 2026 02/03/26 04:05:06 04:05:06 AM"},
		{"%REQ(:METHOD)% %REQ(:path)% %REQ(X-NONE?User-Agent):1% %REQ(x-none)% %RESP(X-R)% %TRAILER(x)%", "GET /p?a=1 u - r -"},
		{"%DURATION% %REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "22 1 3 10 11"},
		{"%COMMON_DURATION(US_TX_BEG:US_RX_END:us)% %COMMON_DURATION(US_RX_END:US_TX_BEG:ns)%", "18000 -"},
		{"%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %PROTOCOL%", "200 via_upstream - 5 6 HTTP/1.1"},
		{"%UPSTREAM_HOST% %UPSTREAM_REMOTE_PORT% %UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_PORT% %UPSTREAM_CLUSTER%", "10.0.0.2:9080 9080 10.0.0.1:5000 5000 c"},
		{"%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_PORT% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_LOCAL_ADDRESS% %DOWNSTREAM_DIRECT_LOCAL_PORT%", "10.0.0.1:4000 4000 [::1]:80 ::1 127.0.0.1:15006 15006"},
		{"%CONNECTION_ID% %STREAM_ID% %HOSTNAME% %ROUTE_NAME% %QUERY_PARAM(a)% %PATH% %PATH(NQ:PATH)% %PATH(NQ:ORIG)%", "7 id pod - 1 /o?a=1 /p /o"},
		{DefaultLogFormat, `[2026-02-03T04:05:06.078Z] "GET /o?a=1 HTTP/1.1" 200 - 5 6 22 3 "-" "ua" "id" "h" "10.0.0.2:9080"` + "\n"},
	} {
		f, err := ParseFormat(tt.format)
		require.NoError(t, err, tt.format)
		require.Equal(t, tt.want, string(f.Append(nil, sampleEntry(), false)), tt.format)
	}
}

// A connection has what a request has of it, and nothing of HTTP but whether it was
// spoken.
func TestFormatsOfConnections(t *testing.T) {
	e := &Entry{}
	e.Connection, e.ServerName, e.Hostname = 7, "sni", "pod"
	e.Begin(1770091506078901234)
	e.KeepID(NewRequestIDs([32]byte{}))
	e.Type, e.Received, e.Sent, e.Cluster, e.Attempts, e.Termination = LogListener, 5, 6, "c", 2, "why not"
	e.Upstream, e.Flag = netip.MustParseAddrPort("10.0.0.2:9080"), FlagUF.And(FlagURX)
	e.Reach(PoolReady, 2e6)
	e.Reach(HandshakeOver, -3500000)
	e.Reach(RequestOver, 22e6)
	for _, tt := range []struct {
		format, want string
		change       func()
	}{
		{"%ACCESS_LOG_TYPE% %PROTOCOL% %REQ(:METHOD)% %PATH% %RESPONSE_CODE% %CONNECTION_TERMINATION_DETAILS%", "NotSet - - - 0 why not", nil},
		{"%ACCESS_LOG_TYPE% %PROTOCOL%", "TcpConnectionEnd HTTP/1.1", func() { e.Type, e.Spoke = LogTCP, true }},
		{"%DURATION% %DOWNSTREAM_HANDSHAKE_DURATION% %UPSTREAM_CONNECTION_POOL_READY_DURATION% %REQUEST_DURATION% %COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ms)%", "22 -3 2 - -", nil},
		{"%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT% %UPSTREAM_PROTOCOL% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", "10.0.0.2:9080 - - - 2", nil},
		{"%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT% %UPSTREAM_PROTOCOL%", "10.0.0.2:9080 9080 -", func() { e.Linked = true }},
		{"%CONNECTION_ID% %REQUESTED_SERVER_NAME% %HOSTNAME% %BYTES_RECEIVED% %BYTES_SENT% %RESPONSE_FLAGS% %UPSTREAM_CLUSTER%", "7 sni pod 5 6 UF,URX c", nil},
		{DefaultLogFormat, `[2026-02-03T04:05:06.078Z] "- - HTTP/1.1" 0 UF,URX 5 6 22 - "-" "-" "-" "-" "10.0.0.2:9080"` + "\n", nil},
	} {
		if tt.change != nil {
			tt.change()
		}
		f, err := ParseFormat(tt.format)
		require.NoError(t, err, tt.format)
		require.Equal(t, tt.want, string(f.Append(nil, e, false)), tt.format)
	}
	f, err := ParseFormat("%STREAM_ID%")
	require.NoError(t, err)
	require.Regexp(t, "^[0-9a-f-]{36}$", string(f.Append(nil, e, false)))
	e.Begin(0) // a request's next
	require.Equal(t, "-", string(f.Append(nil, e, false)))
	for kind, want := range map[LogType]bool{LogRequest: false, LogTCP: true, LogListener: true} {
		logs := compileLogs([]AccessLog{{Path: "a", Filter: &LogFilter{Types: &TypeFilter{Types: []string{"TcpConnectionEnd", "NotSet"}}}}})
		require.Equal(t, want, logs[0].Wants(&Entry{Type: kind}, nil), kind)
	}
}

func TestFormatsRefused(t *testing.T) {
	for format, want := range map[string]string{
		"ab%":                         "at byte 2: a % that begins no command",
		"%REQ(a)":                     "at byte 0: a % that begins no command",
		"x %NOSUCH%":                  "at byte 2: %NOSUCH% is not supported; supported: ACCESS_LOG_TYPE, BYTES_RECEIVED",
		"%REQ%":                       "REQ wants a header's name",
		"%REQ(a?b?c)%":                "REQ has more than one alternative",
		"%REQ(a b)%":                  `REQ: "a b" is not a header's name`,
		"%REQ(a):9999999%":            "REQ has a length of 9999999, want at most 1048576",
		"%PROTOCOL(x)%":               "PROTOCOL takes no argument",
		"%PROTOCOL:3%":                "PROTOCOL takes no length",
		"%START_TIME:3%":              "START_TIME takes no length",
		"%START_TIME(%Q)%":            `START_TIME: "%Q" begins no conversion of strftime`,
		"%QUERY_PARAM%":               "QUERY_PARAM wants an argument",
		"%PATH(X)%":                   "PATH: want WQ or NQ",
		"%RESPONSE_CODE_DETAILS(X)%":  "takes no argument but ALLOW_WHITESPACES",
		"%COMMON_DURATION(A:B:ms)%":   "COMMON_DURATION wants POINT:POINT:UNIT",
		"%DYNAMIC_METADATA(a:b)%":     "%DYNAMIC_METADATA% is not supported",
		"%REQ(a)% %RESPONSE_CODE:x%%": "at byte 9:",
	} {
		_, err := ParseFormat(format)
		require.ErrorContains(t, err, want, format)
	}
}

func TestNothingIsKnown(t *testing.T) {
	var names []string
	for name, s := range commands {
		arg := map[takes]string{takesHeader: "(a)", takesText: "(a)", takesSpan: "(US_RX_BEG:US_RX_END:ms)"}[s.takes]
		names = append(names, "%"+name+arg+"%")
	}
	f, err := ParseFormat(strings.Join(names, "|"))
	require.NoError(t, err)
	e := &Entry{}
	require.NotContains(t, string(f.Append(nil, e, false)), "||")
	f.Append(nil, e, true)
}

func TestJSONFormat(t *testing.T) {
	n, err := compileJSON(map[string]any{
		"b": "%RESPONSE_CODE%", "a": map[string]any{"x": "%REQ(none)%", "y": []any{nil, true, 3., "%RESP(x-r)%"}}, "c": "%REQ(none)%", "d\"": "a%REQ(none)%",
	}, "")
	require.NoError(t, err)
	out, _ := n.append(nil, sampleEntry(), false)
	require.Equal(t, `{"a":{"x":null,"y":[null,true,3,"r"]},"b":200,"c":null,"d\"":"a-"}`, string(out))
	out, _ = n.append(nil, sampleEntry(), true)
	require.Equal(t, `{"a":{"y":[null,true,3,"r"]},"b":200,"d\"":"a"}`, string(out))
	for want, v := range map[string]any{".a[1]: at byte 0": map[string]any{"a": []any{"x", "%"}}, ".a: 1.5 is not a whole number": map[string]any{"a": 1.5}} {
		_, err := compileJSON(v, "")
		require.ErrorContains(t, err, want)
	}
}

func TestLinesDoNotAllocate(t *testing.T) {
	logs := compileLogs([]AccessLog{{Path: "a"}, {Path: "b", JSON: map[string]any{"t": "%START_TIME%", "p": "%REQ(:PATH)%", "u": "%UPSTREAM_HOST%", "s": "%RESPONSE_CODE% \"%RESP(:STATUS)%\""}}})
	e, dst := sampleEntry(), make([]byte, 0, 4096)
	head, answer := []byte("GET / HTTP/1.1\r\nhost: h\r\na: b\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\na: b\r\n\r\n")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		e.Begin(1)
		e.Keep(head)
		e.KeepResponse(answer)
		for i := range logs {
			dst = logs[i].Append(dst[:0], e)
		}
	}))
}

func TestFormattedHeadersDoNotAllocate(t *testing.T) {
	cfg := config()
	cfg.Listeners[0].Mutate.Request = Mutations{Add: []HeaderValue{{Name: "x-a", Value: "%REQ(a)% %DOWNSTREAM_REMOTE_ADDRESS%"}, {Name: "x-b", Value: "%START_TIME%", Action: OverwriteOrAdd}}}
	table, err := Compile(cfg)
	require.NoError(t, err)
	h := head(t, "GET /a HTTP/1.1\r\nHost: a\r\na: 1\r\nx-b: 1\r\n\r\n")
	r, e := table.Listeners[0].Route(h), sampleEntry()
	require.True(t, table.Listeners[0].Observed)
	require.True(t, r.Formats)
	ids, dst := NewRequestIDs([32]byte{}), make([]byte, 0, 4096)
	require.Contains(t, string(AppendRequest(dst, h, r, ids, e)), "x-b: 2026-02-03T04:05:06.078Z\r\nx-a: 1 10.0.0.1:4000\r\n")
	require.Zero(t, testing.AllocsPerRun(100, func() { AppendRequest(dst, h, r, ids, e) }))
}

// FuzzFormat: a format string is refused with a place in it, or writes something
// for every request, known or not, and valid JSON in a JSON format.
func FuzzFormat(f *testing.F) {
	f.Add(DefaultLogFormat, "GET /p?a=1 HTTP/1.1\r\nhost: h\r\na: b\r\n\r\n")
	f.Add("%START_TIME(%s.%3f %E9S)% %REQ(a?b):3% %QUERY_PARAM(a)% 100%%", "GET /?a=%ff%0d HTTP/1.1\r\nhost: h\r\n\r\n")
	f.Add("%COMMON_DURATION(DS_RX_BEG:US_TX_END:us)%%PATH(NQ:ORIG)%", "GET")
	f.Fuzz(func(t *testing.T, format, request string) {
		x, err := ParseFormat(format)
		if err != nil {
			var e *FormatError
			require.ErrorAs(t, err, &e)
			require.True(t, e.At >= 0 && e.At < len(format), "%d of %q", e.At, format)
			return
		}
		empty, full := &Entry{}, sampleEntry()
		h := &http1.Head{}
		h.Reset(false)
		if n, err := h.Parse([]byte(request)); err == nil && n > 0 {
			full.Keep(AppendRequest(nil, h, nil, NewRequestIDs([32]byte{}), nil))
		} else {
			full.Keep([]byte(request))
		}
		for _, e := range []*Entry{empty, full} {
			x.Append(nil, e, false)
			x.Append(nil, e, true)
			n, err := compileJSON(map[string]any{"k": format}, "")
			require.NoError(t, err)
			out, _ := n.append(nil, e, false)
			require.True(t, json.Valid(out), "%q", out)
		}
	})
}
