package mesh

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/meshnic/meshnic/proxy/http1"
)

// Kinds of a StringMatch, by Envoy's names.
const (
	MatchExact    = "exact"
	MatchPrefix   = "prefix"
	MatchSuffix   = "suffix"
	MatchContains = "contains"
	MatchRegex    = "safe_regex" // RE2, of the whole value
)

// MatchKinds lists the kinds, for messages.
func MatchKinds() []string {
	return []string{MatchExact, MatchPrefix, MatchSuffix, MatchContains, MatchRegex}
}

// StringMatch is what a string has to be.
type StringMatch struct {
	Kind       string `json:"kind"`
	Text       string `json:"text"`
	IgnoreCase bool   `json:"ignore_case,omitempty"` // not for MatchRegex
}

// QueryMatch is what a parameter of the query has to be, the first of its name;
// neither is decoded, as with Envoy.
type QueryMatch struct {
	Name  string       `json:"name"`
	Value *StringMatch `json:"value,omitempty"` // nil: whatever it is, it is there
}

// HeaderMatch is what a header of a request has to be: one of its lines, or what
// they are together if it is one of those that are joined.
type HeaderMatch struct {
	Name   string       `json:"name"`            // also ":method", ":authority", ":path"
	Value  *StringMatch `json:"value,omitempty"` // nil: whatever it is, it is there
	Invert bool         `json:"invert,omitempty"`
}

// headerMatcher is one compiled HeaderMatch.
type headerMatcher struct {
	name   string // in lower case
	joined bool   // several lines of it are one
	given  []byte // its value where a request comes without one, and is given it before it is routed
	value  bool   // it is looked at
	kind   string
	text   []byte
	fold   bool
	regex  *regexp.Regexp
	invert bool
}

func compileHeaders(list []HeaderMatch) (out []headerMatcher) {
	for _, h := range list {
		m := headerMatcher{name: strings.ToLower(h.Name), invert: h.Invert}
		m.joined = joinedOfRequests[m.name]
		m.compile(h.Value)
		out = append(out, m)
	}
	return out
}

// compileRequestHeaders is compileHeaders for requests that come in over TLS, or not.
func compileRequestHeaders(list []HeaderMatch, secure bool) []headerMatcher {
	out := compileHeaders(list)
	for i := range out {
		switch m := &out[i]; m.name {
		case "x-forwarded-proto":
			m.given = []byte(scheme(secure))
		case "x-request-id":
			m.given = []byte("00000000-0000-4000-8000-000000000000") // a UUID, like that which it gets
		}
	}
	return out
}

// compileQuery makes matchers that look at a parameter; its name keeps its case.
func compileQuery(list []QueryMatch) (out []headerMatcher) {
	for _, q := range list {
		m := headerMatcher{name: q.Name}
		m.compile(q.Value)
		out = append(out, m)
	}
	return out
}

func (m *headerMatcher) compile(v *StringMatch) {
	if v == nil {
		return
	}
	m.value, m.kind, m.text, m.fold = true, v.Kind, []byte(v.Text), v.IgnoreCase
	if v.Kind == MatchRegex {
		m.regex = regexp.MustCompile(whole(v.Text)) // Validate has
	}
	if m.fold {
		m.text = bytes.ToLower(m.text)
	}
}

// Matcher is a compiled StringMatch.
type Matcher struct{ m headerMatcher }

// Compile makes a valid s ready.
func (s StringMatch) Compile() *Matcher {
	m := &Matcher{}
	m.m.compile(&s)
	return m
}

// Match reports whether text is what the StringMatch wants.
func (m *Matcher) Match(text string) bool { return m.m.is([]byte(text)) }

// takes reports whether the query, without its question mark, has what m wants.
func (m *headerMatcher) takes(query []byte) bool {
	v, ok := parameter(query, m.name)
	return ok && (!m.value || m.is(v))
}

// parameter is the first value of a name in a query.
func parameter(query []byte, name string) (value []byte, ok bool) {
	for len(query) > 0 {
		var param []byte
		param, query, _ = bytes.Cut(query, []byte("&"))
		if k, v, _ := bytes.Cut(param, []byte("=")); string(k) == name {
			return v, true
		}
	}
	return nil, false
}

// whole is a pattern for a whole string.
func whole(pattern string) string { return `\A(?:` + pattern + `)\z` }

// matches reports whether the request has what m wants: of a header of several
// lines, one that is what it has to be. A header that is not there matches
// nothing but that it is not there.
func (m *headerMatcher) matches(h *http1.Head) bool {
	there, found := false, false
	see := func(v []byte) {
		there = true
		found = found || !m.value || m.is(v)
	}
	switch m.name {
	case ":method":
		see(h.Bytes(h.MethodSpan))
	case ":authority", "host":
		see(h.Bytes(h.Authority))
	case ":path":
		see(h.Bytes(h.Path))
	default:
		if m.joined {
			switch v, ok := together(h, m.name); {
			case len(v) == 0 && m.given != nil:
				see(m.given)
			case ok:
				see(v)
			}
			break
		}
		for i := range h.Fields() {
			if f := &h.Fields()[i]; http1.EqualFold(h.Bytes(f.Name), m.name) && visible(h, f) {
				see(valueOf(h, f))
			}
		}
	}
	if !there && m.value {
		return false
	}
	return found != m.invert
}

func (m *headerMatcher) is(v []byte) bool {
	if m.kind == MatchRegex {
		return m.regex.Match(v)
	}
	switch m.kind {
	case MatchPrefix:
		return len(v) >= len(m.text) && m.same(v[:len(m.text)])
	case MatchSuffix:
		return len(v) >= len(m.text) && m.same(v[len(v)-len(m.text):])
	case MatchContains:
		for i := 0; i+len(m.text) <= len(v); i++ {
			if m.same(v[i : i+len(m.text)]) {
				return true
			}
		}
		return false
	}
	return m.same(v)
}

// same compares, upper and lower case of ASCII alike if asked to.
func (m *headerMatcher) same(v []byte) bool {
	if !m.fold {
		return bytes.Equal(v, m.text)
	}
	if len(v) != len(m.text) {
		return false
	}
	for i, c := range v {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != m.text[i] {
			return false
		}
	}
	return true
}
