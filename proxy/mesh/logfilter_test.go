package mesh

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
)

func TestLogFilter(t *testing.T) {
	exact := func(s string) *StringMatch { return &StringMatch{Kind: MatchExact, Text: s} }
	status := func(op string, v uint32) *LogFilter { return &LogFilter{Status: &Comparison{op, v}} }
	yes, no := LogFilter{NotHealthCheck: true}, *status("EQ", 1)
	e := &Entry{Status: 503, Flag: FlagDI.And(FlagUF)}
	e.Begin(0)
	e.Status, e.Flag = 503, FlagDI.And(FlagUF)
	e.Keep([]byte("GET /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-a: 2\r\nx-request-id: 00000019-0000\r\n\r\n"))
	e.Reach(RequestOver, 42_999_999)
	for _, tt := range []struct {
		name string
		f    *LogFilter
		want bool
	}{
		{"none", nil, true},
		{"EQ", status("EQ", 503), true}, {"not EQ", status("EQ", 500), false}, {"GE", status("GE", 503), true}, {"not GE", status("GE", 504), false},
		{"LE", status("LE", 503), true}, {"not LE", status("LE", 502), false}, {"NE", status("NE", 502), true}, {"not NE", status("NE", 503), false},
		{"42 ms", &LogFilter{Duration: &Comparison{"EQ", 42}}, true}, {"43 ms", &LogFilter{Duration: &Comparison{"GE", 43}}, false},
		{"both", &LogFilter{And: []LogFilter{yes, yes}}, true}, {"not both", &LogFilter{And: []LogFilter{yes, no}}, false},
		{"either", &LogFilter{Or: []LogFilter{no, yes}}, true}, {"neither", &LogFilter{Or: []LogFilter{no, no}}, false},
		{"header", &LogFilter{Header: &HeaderMatch{Name: "X-A", Value: exact("2")}}, true}, {"another value", &LogFilter{Header: &HeaderMatch{Name: "x-a", Value: exact("3")}}, false},
		{"present", &LogFilter{Header: &HeaderMatch{Name: "x-a"}}, true}, {"absent", &LogFilter{Header: &HeaderMatch{Name: "x-b"}}, false},
		{"not there, inverted", &LogFilter{Header: &HeaderMatch{Name: "x-b", Value: exact("1"), Invert: true}}, false}, {"absent, inverted", &LogFilter{Header: &HeaderMatch{Name: "x-b", Invert: true}}, true},
		{"path", &LogFilter{Header: &HeaderMatch{Name: ":path", Value: exact("/a")}}, true}, {"host", &LogFilter{Header: &HeaderMatch{Name: "host", Value: exact("h")}}, true},
		{"a flag", &LogFilter{Flagged: &FlagFilter{}}, true}, {"that flag", &LogFilter{Flagged: &FlagFilter{[]string{"NR", "UF"}}}, true}, {"another flag", &LogFilter{Flagged: &FlagFilter{[]string{"NR"}}}, false},
		{"its type", &LogFilter{Types: &TypeFilter{Types: []string{"DownstreamEnd"}}}, true}, {"all but its type", &LogFilter{Types: &TypeFilter{[]string{"DownstreamEnd"}, true}}, false},
		{"25 of 26", &LogFilter{Sample: &Sample{"k", Fraction{Numerator: 26}, false}}, true}, {"25 of 25", &LogFilter{Sample: &Sample{"k", Fraction{Numerator: 25}, false}}, false},
		{"by chance", &LogFilter{Sample: &Sample{"k", Fraction{Numerator: 8}, true}}, true}, {"by chance, not", &LogFilter{Sample: &Sample{"k", Fraction{Numerator: 7}, true}}, false},
	} {
		l := &Log{filter: compileLogFilter(tt.f)}
		draw := func() uint64 { return 7 }
		require.Equal(t, tt.want, l.Wants(e, draw), tt.name)
		require.Zero(t, testing.AllocsPerRun(10, func() { l.Wants(e, draw) }), tt.name)
	}
	for _, id := range []string{"", "0000019", "0000001g-", "-0000019"} { // none to go by
		e.Keep([]byte("GET /a HTTP/1.1\r\nhost: h\r\nx-request-id: " + id + "\r\n\r\n"))
		_, ok := e.sample()
		require.False(t, ok, id)
	}
}

func TestLogFilterMistakes(t *testing.T) {
	for _, tt := range []struct {
		f    LogFilter
		want string
	}{
		{LogFilter{}, "filter: has 0 filters, want one"},
		{LogFilter{NotHealthCheck: true, Flagged: &FlagFilter{}}, "filter: has 2 filters"},
		{LogFilter{Status: &Comparison{Op: "GT"}}, `filter.status_code_filter.op: is "GT"`},
		{LogFilter{Duration: &Comparison{}}, `filter.duration_filter.op: is ""`},
		{LogFilter{Sample: &Sample{}}, "filter.runtime_filter.runtime_key: is empty"},
		{LogFilter{Sample: &Sample{Key: "k", Percentage: Fraction{Denominator: "TEN"}}}, "filter.runtime_filter.percent_sampled.denominator"},
		{LogFilter{And: []LogFilter{{NotHealthCheck: true}}}, "filter.and_filter: has 1 filters"},
		{LogFilter{Or: []LogFilter{{NotHealthCheck: true}, {}}}, "filter.or_filter.filters[1]: has 0 filters"},
		{LogFilter{Header: &HeaderMatch{}}, "filter.header_filter.header.name: is empty"},
		{LogFilter{Flagged: &FlagFilter{[]string{"XX"}}}, `filter.response_flag_filter.flags[0]: is "XX"`},
		{LogFilter{Types: &TypeFilter{Types: []string{"X"}}}, `filter.log_type_filter.types[0]: is "X"`},
	} {
		c := config()
		c.Listeners[0].Logs = []AccessLog{{Path: "/dev/null", Filter: &tt.f}}
		require.ErrorContains(t, c.Validate(), "listeners[0].access_log[0]."+tt.want)
	}
}

// A request without a host has headers, and its log line may say what they are.
func TestKeepLine(t *testing.T) {
	h, e := &http1.Head{}, &Entry{}
	_, err := h.Parse([]byte("GET /a HTTP/1.1\r\nX-A: 1\r\n\r\n"))
	require.Equal(t, http1.ErrNoHost, err)
	e.KeepLine(h)
	f, err := ParseFormat("%REQ(:METHOD)% %REQ(:PATH)% %REQ(X-A)%")
	require.NoError(t, err)
	require.Equal(t, "GET /a 1", string(f.Append(nil, e, false)))
}
