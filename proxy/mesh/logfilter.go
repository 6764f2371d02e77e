package mesh

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// LogFilter says which requests, or connections, an access log has a line of: one of
// these.
type LogFilter struct {
	Status   *Comparison  `json:"status_code_filter,omitempty"` // of 0 if there is no response
	Duration *Comparison  `json:"duration_filter,omitempty"`    // in ms, up to the line
	Sample   *Sample      `json:"runtime_filter,omitempty"`
	And      []LogFilter  `json:"and_filter,omitempty"`
	Or       []LogFilter  `json:"or_filter,omitempty"`
	Header   *HeaderMatch `json:"header_filter,omitempty"` // of the request as it went upstream
	Flagged  *FlagFilter  `json:"response_flag_filter,omitempty"`
	Types    *TypeFilter  `json:"log_type_filter,omitempty"`

	NotHealthCheck bool `json:"not_health_check_filter,omitempty"` // all: requests of health checks are told by a filter of Envoy's that is not carried
}

// Comparison compares a number with Value.
type Comparison struct {
	Op    string `json:"op"` // one of Comparisons
	Value uint32 `json:"value"`
}

// Comparisons are Envoy's names of how a Comparison compares.
func Comparisons() []string { return []string{"EQ", "GE", "LE", "NE"} }

func (c *Comparison) is(n uint64) bool {
	switch v := uint64(c.Value); c.Op {
	case "GE":
		return n >= v
	case "LE":
		return n <= v
	case "NE":
		return n != v
	default:
		return n == v
	}
}

// Sample is a fraction of the requests: those whose x-request-id says so, that all
// proxies on a request's way have a line of it or none, or by chance.
type Sample struct {
	Key         string   `json:"runtime_key"` // is there because Envoy wants one
	Percentage  Fraction `json:"percent_sampled"`
	Independent bool     `json:"use_independent_randomness,omitempty"` // by chance in any case
}

// FlagFilter is for requests with one of the flags, or with any if there are none.
type FlagFilter struct {
	Flags []string `json:"flags,omitempty"` // of FlagNames
}

// TypeFilter is for lines of the types, or for all others.
type TypeFilter struct {
	Types   []string `json:"types,omitempty"` // of LogTypes
	Exclude bool     `json:"exclude,omitempty"`
}

// LogTypes are Envoy's types of lines.
func LogTypes() []string {
	return []string{LogListener.String(), "TcpUpstreamConnected", "TcpPeriodic", "TcpConnectionStart", LogTCP.String(), "DownstreamStart", "DownstreamPeriodic",
		LogRequest.String(), "UpstreamPoolReady", "UpstreamPeriodic", "UpstreamEnd", "DownstreamTunnelSuccessfullyEstablished", "UdpTunnelUpstreamConnected",
		"UdpPeriodic", "UdpSessionEnd"}
}

// LogType says what a line is of.
type LogType uint8

// The types of the lines that there are.
const (
	LogRequest  LogType = iota // a request
	LogTCP                     // a TCP proxy's connection
	LogListener                // a listener's connection, whatever it was for
)

// String is Envoy's name.
func (t LogType) String() string {
	return [...]string{LogRequest: "DownstreamEnd", LogTCP: "TcpConnectionEnd", LogListener: "NotSet"}[t]
}

// logFilter is a compiled LogFilter.
type logFilter struct {
	*LogFilter
	and, or []logFilter
	header  headerMatcher
	flags   []Flags
}

func compileLogFilter(f *LogFilter) *logFilter {
	if f == nil {
		return nil
	}
	out := &logFilter{LogFilter: f}
	for i := range f.And {
		out.and = append(out.and, *compileLogFilter(&f.And[i]))
	}
	for i := range f.Or {
		out.or = append(out.or, *compileLogFilter(&f.Or[i]))
	}
	if f.Header != nil {
		out.header = compileHeaders([]HeaderMatch{*f.Header})[0]
	}
	if f.Flagged != nil {
		for _, n := range f.Flagged.Flags {
			out.flags = append(out.flags, ParseFlag(n))
		}
	}
	return out
}

// Wants reports whether l has a line of e, which is over. draw is a
// number by chance. It allocates nothing.
func (l *Log) Wants(e *Entry, draw func() uint64) bool {
	return l.filter == nil || l.filter.wants(e, draw)
}

func (f *logFilter) wants(e *Entry, draw func() uint64) bool {
	switch {
	case f.Status != nil:
		return f.Status.is(uint64(e.Status))
	case f.Duration != nil:
		ms, ok := e.between(RequestBegins, RequestOver, 1e6)
		return ok && f.Duration.is(uint64(ms))
	case f.Sample != nil:
		if id, ok := e.sample(); ok && !f.Sample.Independent {
			return f.Sample.Percentage.Draw(func() uint64 { return id })
		}
		return f.Sample.Percentage.Draw(draw)
	case f.and != nil:
		for i := range f.and {
			if !f.and[i].wants(e, draw) {
				return false
			}
		}
		return true
	case f.or != nil:
		for i := range f.or {
			if f.or[i].wants(e, draw) {
				return true
			}
		}
		return false
	case f.Header != nil:
		return f.header.logged(e)
	case f.Flagged != nil:
		for _, flag := range f.flags {
			if e.Flag.has(flag) {
				return true
			}
		}
		return f.flags == nil && e.Flag != 0
	case f.Types != nil:
		return slices.Contains(f.Types.Types, e.Type.String()) != f.Types.Exclude
	}
	return true // NotHealthCheck
}

// sample is the number that the request's x-request-id begins with, by which Envoy
// samples: the first eight hexadecimal digits.
func (e *Entry) sample() (uint64, bool) {
	const digits = 8
	id, _ := field(e.Request, "x-request-id")
	if len(id) < digits {
		return 0, false
	}
	n := uint64(0)
	for _, c := range id[:digits] {
		d := hex(c)
		if d < 0 {
			return 0, false
		}
		n = n<<4 | uint64(d)
	}
	return n, true
}

// logged is matches of a request that is over.
func (m *headerMatcher) logged(e *Entry) bool {
	there, found := false, false
	see := func(v []byte) {
		there = true
		found = found || !m.value || m.is(v)
	}
	switch m.name {
	case ":method", ":authority", "host", ":path":
		if v, ok := e.requestHeader(m.name); ok {
			see(v)
		}
	default:
		for fields := e.Request; len(fields) > 0; {
			line, rest, _ := bytes.Cut(fields, crlf)
			if len(line) > len(m.name)+1 && line[len(m.name)] == ':' && string(line[:len(m.name)]) == m.name {
				see(line[len(m.name)+2:])
			}
			fields = rest
		}
	}
	if !there && m.value {
		return false
	}
	return found != m.invert
}

func (v *validator) logFilter(path string, f *LogFilter, depth int) {
	if f == nil {
		return
	}
	given := 0
	for _, has := range []bool{f.Status != nil, f.Duration != nil, f.Sample != nil, f.And != nil, f.Or != nil, f.Header != nil, f.Flagged != nil, f.Types != nil, f.NotHealthCheck} {
		if has {
			given++
		}
	}
	if given != 1 {
		v.fail(path, "has %d filters, want one", given)
		return
	}
	if depth > maxLogFilters {
		v.fail(path, "is %d filters deep, want at most %d", depth, maxLogFilters)
		return
	}
	for i, c := range []*Comparison{f.Status, f.Duration} {
		if c != nil && !slices.Contains(Comparisons(), c.Op) {
			v.fail(path+[]string{".status_code_filter", ".duration_filter"}[i]+".op", "is %q, want one of %s", c.Op, strings.Join(Comparisons(), ", "))
		}
	}
	if s := f.Sample; s != nil {
		if s.Key == "" {
			v.fail(path+".runtime_filter.runtime_key", "is empty")
		}
		v.fraction(path+".runtime_filter.percent_sampled", s.Percentage)
	}
	for i, list := range [][]LogFilter{f.And, f.Or} {
		p := path + []string{".and_filter", ".or_filter"}[i]
		if list != nil && len(list) < 2 {
			v.fail(p, "has %d filters, want 2 or more", len(list))
		}
		for j := range list {
			v.logFilter(p+".filters["+strconv.Itoa(j)+"]", &list[j], depth+1)
		}
	}
	if f.Header != nil {
		v.header(path+".header_filter.header", f.Header)
	}
	if f.Flagged != nil {
		for i, n := range f.Flagged.Flags {
			if ParseFlag(n) == 0 {
				v.fail(fmt.Sprintf("%s.response_flag_filter.flags[%d]", path, i), "is %q, want one of %s", n, strings.Join(FlagNames(), ", "))
			}
		}
	}
	if f.Types != nil {
		for i, n := range f.Types.Types {
			if !slices.Contains(LogTypes(), n) {
				v.fail(fmt.Sprintf("%s.log_type_filter.types[%d]", path, i), "is %q, want one of %s", n, strings.Join(LogTypes(), ", "))
			}
		}
	}
}

// maxLogFilters is how deep filters may be in one another: more than anyone has, and
// little on a worker's stack.
const maxLogFilters = 16
