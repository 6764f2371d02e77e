package mesh

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/proxy/http1"
)

// HostRegex makes a host of a path: each match of the expression (RE2) in the path is
// replaced by Substitution, as with Rewrite.
type HostRegex struct {
	Regex        string `json:"regex"`
	Substitution string `json:"substitution,omitempty"`
}

// lateHost is a host that is known when the rest of the head is.
type lateHost struct {
	literal string
	header  []byte
	path    *rewriter
}

func (w *Rewrite) changesHost() bool {
	return w.Host != "" || w.AutoHost || w.HostHeader != "" || w.HostRegex != nil
}

func (r *RouteEntry) compileHost(w *Rewrite) {
	r.autoHost, r.appendHost = w.AutoHost, w.AppendHost
	switch {
	case w.HostHeader != "":
		r.late = &lateHost{header: []byte(strings.ToLower(w.HostHeader))}
	case w.HostRegex != nil:
		r.late = &lateHost{path: compileRewrite(&Rewrite{Regex: w.HostRegex.Regex, Substitution: w.HostRegex.Substitution})}
	case w.Host != "" && w.AppendHost:
		r.late = &lateHost{literal: w.Host}
	default:
		r.host = []byte(w.Host)
	}
}

// name is the host of request h, whose fields, as they go upstream, are fields.
func (l *lateHost) name(h *http1.Head, fields []byte) string {
	switch {
	case l.header != nil:
		at := find(fields, l.header)
		if at < 0 {
			return ""
		}
		value, _, _ := bytes.Cut(fields[at+len(l.header)+len(": "):], crlf)
		return string(value)
	case l.path != nil:
		path, _, _ := bytes.Cut(h.Bytes(h.Path), []byte("?"))
		if len(path) == 0 {
			path = slash
		}
		return string(l.path.regex.ReplaceAll(path, l.path.by))
	}
	return l.literal
}

// AutoHost reports whether requests get the name of their endpoint for a host, see
// Rehost.
func (r *RouteEntry) AutoHost() bool { return r.autoHost }

// Rehost changes the host of request, which AppendRequest or AppendAgain and the body so
// far have made, to name, and returns it, in another place if it had no room.
func (r *RouteEntry) Rehost(request []byte, name string) []byte {
	end := bytes.Index(request, endOfHead) + len(crlf)
	for _, last := range [][]byte{chunkedLine, emptyLine} { // which are Envoy's codec's
		if bytes.HasSuffix(request[:end], last) {
			end -= len(last)
			break
		}
	}
	return setHost(request, 0, end, name, r.appendHost)
}

// Rename changes the host of request, which nobody has seen yet, and nothing else.
func Rename(request []byte, name string) []byte {
	from, to := hostOf(request, 0)
	return slices.Replace(request, from, to, []byte(name)...)
}

// Rehost is RouteEntry.Rehost of the request as e has it.
func (e *Entry) Rehost(r *RouteEntry, name string) {
	head := slices.Concat(e.Method, space, e.Path, []byte(" HTTP/1.1\r\nhost: "), e.Authority, crlf, e.Request)
	e.Keep(r.Rehost(head, name))
}

var (
	chunkedLine = []byte("transfer-encoding: chunked\r\n")
	emptyLine   = []byte("content-length: 0\r\n")
)

// setHost changes the host of the head that begins in dst at from and whose fields end
// at to, and notes what it was; told has it appended to x-forwarded-host, unless it is
// the last of it.
func setHost(dst []byte, from, to int, name string, told bool) []byte {
	host, end := hostOf(dst, from)
	old, fields := string(dst[host:end]), end+len(crlf)
	const key = "x-envoy-original-host"
	if at := find(dst[fields:to], []byte(key)); at < 0 {
		dst, to = insert(dst, to, to, key+": "+old+"\r\n")
	} else {
		value := fields + at + len(key) + len(": ")
		was := bytes.IndexByte(dst[value:], '\r')
		dst = slices.Replace(dst, value, value+was, []byte(old)...)
		to += len(old) - was
	}
	if told && old != "" {
		const key = "x-forwarded-host"
		if at := find(dst[fields:to], []byte(key)); at < 0 {
			dst, _ = insert(dst, to, to, key+": "+old+"\r\n")
		} else {
			value := fields + at + len(key) + len(": ")
			stop := value + bytes.IndexByte(dst[value:], '\r')
			switch was := dst[value:stop]; {
			case len(was) == 0:
				dst, _ = insert(dst, stop, to, old)
			case string(was[bytes.LastIndexByte(was, ',')+1:]) != old:
				dst, _ = insert(dst, stop, to, ","+old)
			}
		}
	}
	return slices.Replace(dst, host, end, []byte(name)...)
}

// hostOf is where the host of the head is that begins in b at from.
func hostOf(b []byte, from int) (begin, end int) {
	begin = from + bytes.IndexByte(b[from:], '\n') + 1 + len("host: ")
	return begin, begin + bytes.IndexByte(b[begin:], '\r')
}

// insert inserts text at a place, and returns where the fields that ended at to end now.
func insert(dst []byte, at, to int, text string) ([]byte, int) {
	return slices.Insert(dst, at, []byte(text)...), to + len(text)
}

func (v *validator) hostRewrite(path string, w *Rewrite) {
	given := 0
	for _, has := range []bool{w.Host != "", w.AutoHost, w.HostHeader != "", w.HostRegex != nil} {
		if has {
			given++
		}
	}
	if given > 1 {
		v.fail(path, "has %d rewrites of the host, want one", given)
	}
	if w.HostHeader != "" {
		v.headerName(path+".host_rewrite_header", w.HostHeader)
	}
	if x := w.HostRegex; x != nil {
		p := path + ".host_rewrite_path_regex"
		re, err := regexp.Compile(x.Regex)
		if err != nil || x.Regex == "" {
			v.fail(p, "%q is no expression", x.Regex)
			return
		}
		if strings.ContainsFunc(x.Substitution, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			v.fail(p+".substitution", "%q has a space or a control character", x.Substitution)
		}
		switch _, groups, err := template(x.Substitution); {
		case err != nil:
			v.fail(p+".substitution", "%v", err)
		case groups > re.NumSubexp():
			v.fail(p+".substitution", "names group %d, and the expression has %d", groups, re.NumSubexp())
		}
	}
}
