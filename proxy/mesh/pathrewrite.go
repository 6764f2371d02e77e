package mesh

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/meshnic/meshnic/proxy/http1"
)

// Rewrite is what a route changes of what a request asks for, on its way
// upstream. The query stays.
type Rewrite struct {
	// One of these.
	Prefix string `json:"prefix_rewrite,omitempty"` // in the place of what the route's path matched; of a Regex, the whole path
	Regex  string `json:"regex_rewrite,omitempty"`  // RE2; each match in the path is replaced by Substitution

	Substitution string `json:"substitution,omitempty"` // \1 to \9 are the expression's groups, \0 the match

	// One of these: the host the upstream sees. The last two leave the request's where
	// they come out empty.
	Host       string     `json:"host_rewrite_literal,omitempty"`
	AutoHost   bool       `json:"auto_host_rewrite,omitempty"`       // the endpoint's name, if it has one
	HostHeader string     `json:"host_rewrite_header,omitempty"`     // the value of a header, the first of its lines
	HostRegex  *HostRegex `json:"host_rewrite_path_regex,omitempty"` // what an expression makes of the path

	AppendHost bool `json:"append_x_forwarded_host,omitempty"` // where the host is rewritten
}

// rewriter is a compiled Rewrite of the path.
type rewriter struct {
	prefix []byte
	regex  *regexp.Regexp
	by     []byte // as regexp wants it
}

func compileRewrite(w *Rewrite) *rewriter {
	switch {
	case w.Prefix != "":
		return &rewriter{prefix: []byte(w.Prefix)}
	case w.Regex != "":
		by, _, _ := template(w.Substitution) // Validate has
		return &rewriter{regex: regexp.MustCompile(w.Regex), by: []byte(by)}
	}
	return nil
}

// template turns RE2's way of writing a substitution into regexp's; groups is the
// highest group it names.
func template(s string) (t string, groups int, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '$':
			b.WriteString("$$")
		case c != '\\':
			b.WriteByte(c)
		case i+1 < len(s) && s[i+1] == '\\':
			i++
			b.WriteByte('\\')
		case i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
			i++
			groups = max(groups, int(s[i]-'0'))
			fmt.Fprintf(&b, "${%c}", s[i])
		default:
			return "", 0, fmt.Errorf(`%q has a \ that stands before neither a digit nor a \`, s)
		}
	}
	return b.String(), groups, nil
}

// appendPath appends the path and query that a request asks for.
func appendPath(dst []byte, h *http1.Head) []byte {
	path := h.Bytes(h.Path)
	if (len(path) == 0 || path[0] != '/') && !h.Asterisk {
		dst = append(dst, '/') // an absolute target without a path
	}
	return append(dst, path...)
}

func appendOriginalPath(dst []byte, h *http1.Head) []byte {
	return append(appendPath(append(dst, "x-envoy-original-path: "...), h), "\r\n"...)
}

func appendOriginalHost(dst []byte, h *http1.Head) []byte {
	return append(append(append(dst, "x-envoy-original-host: "...), h.Bytes(h.Authority)...), "\r\n"...)
}

// appendTarget appends the path and query that the upstream is asked for;
// rewritten is whether the route has made it. An empty path is no rewrite, as with Envoy.
func (r *RouteEntry) appendTarget(dst []byte, h *http1.Head) (_ []byte, rewritten bool) {
	if r.rewrite == nil {
		return appendPath(dst, h), false
	}
	begin := len(dst)
	path, query := h.Bytes(h.Path), []byte(nil)
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i:]
	}
	if len(path) == 0 {
		path = slash
	}
	switch w := r.rewrite; {
	case w.regex != nil:
		dst = append(dst, w.regex.ReplaceAll(path, w.by)...)
	case r.form == formRegex:
		dst = append(dst, w.prefix...)
	default:
		dst = append(append(dst, w.prefix...), path[len(r.path):]...)
	}
	if len(dst) == begin {
		return appendPath(dst, h), false
	}
	return append(dst, query...), true
}

func (v *validator) rewrite(path string, w *Rewrite) {
	for _, s := range []struct{ name, text string }{{"prefix_rewrite", w.Prefix}, {"substitution", w.Substitution}, {"host_rewrite_literal", w.Host}} {
		if strings.ContainsFunc(s.text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			v.fail(path+"."+s.name, "%q has a space or a control character", s.text)
		}
	}
	if w.Prefix != "" && w.Prefix[0] != '/' {
		v.fail(path+".prefix_rewrite", "%q does not begin with /", w.Prefix)
	}
	v.pathRewrite(path, w)
	v.hostRewrite(path, w)
}

func (v *validator) pathRewrite(path string, w *Rewrite) {
	switch {
	case w.Prefix != "" && w.Regex != "":
		v.fail(path, "has prefix_rewrite and regex_rewrite, want one of them")
	case w.Regex == "" && w.Substitution != "":
		v.fail(path+".substitution", "is without a regex_rewrite")
	case w.Regex != "":
		re, err := regexp.Compile(w.Regex)
		if err != nil {
			v.fail(path+".regex_rewrite", "%v", err)
			return
		}
		switch _, groups, err := template(w.Substitution); {
		case err != nil:
			v.fail(path+".substitution", "%v", err)
		case groups > re.NumSubexp():
			v.fail(path+".substitution", "names group %d, and the expression has %d", groups, re.NumSubexp())
		}
	}
}
