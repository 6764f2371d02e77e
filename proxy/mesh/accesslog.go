package mesh

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// AccessLog is a file that gets a line for each request, or each connection, when it
// is over.
type AccessLog struct {
	Path      string         `json:"path"`
	Text      string         `json:"text_format,omitempty"`       // a format string, with a line break at its end if there is to be one
	JSON      map[string]any `json:"json_format,omitempty"`       // objects, lists, numbers, booleans, nulls, and strings that are format strings
	OmitEmpty bool           `json:"omit_empty_values,omitempty"` // leaves out what is not known instead of "-" or null
	Filter    *LogFilter     `json:"filter,omitempty"`            // of which there is one; nil means all
}

// Log is a compiled AccessLog.
type Log struct {
	Path string

	text *Format
	json *jsonNode
	omit bool

	filter *logFilter
}

func compileLogs(list []AccessLog) (out []Log) {
	for _, l := range list {
		c := Log{Path: l.Path, omit: l.OmitEmpty, filter: compileLogFilter(l.Filter)}
		switch {
		case l.JSON != nil:
			c.json, _ = compileJSON(l.JSON, "") // Validate has
		case l.Text != "":
			c.text, _ = ParseFormat(l.Text)
		default:
			c.text, _ = ParseFormat(DefaultLogFormat)
		}
		out = append(out, c)
	}
	return out
}

// each calls f with every format in l.
func (l *Log) each(f func(*Format)) {
	if l.json == nil {
		f(l.text)
		return
	}
	l.json.each(f)
}

func (n *jsonNode) each(f func(*Format)) {
	if n.f != nil {
		f(n.f)
	}
	for i := range n.kids {
		n.kids[i].each(f)
	}
}

// Append appends the line for e. It allocates nothing if dst has room.
func (l *Log) Append(dst []byte, e *Entry) []byte {
	if l.json == nil {
		return l.text.Append(dst, e, l.omit)
	}
	dst, _ = l.json.append(dst, e, l.omit)
	return append(dst, '\n')
}

// jsonNode is a value of a JSON format.
type jsonNode struct {
	open byte       // { or [, or 0
	kids []jsonNode // of those
	keys []string   // quoted, with their colon
	text string     // the value as it stands, or
	f    *Format
}

// compileJSON reads a value of a JSON format; path is where it stands, for the
// error.
func compileJSON(v any, path string) (*jsonNode, error) {
	n := &jsonNode{}
	add := func(v any, path string) error {
		k, err := compileJSON(v, path)
		if err == nil {
			n.kids = append(n.kids, *k)
		}
		return err
	}
	switch v := v.(type) {
	case map[string]any:
		n.open = '{'
		for _, name := range slices.Sorted(maps.Keys(v)) {
			n.keys = append(n.keys, string(appendQuoted(nil, []byte(name)))+":")
			if err := add(v[name], path+"."+name); err != nil {
				return nil, err
			}
		}
	case []any:
		n.open = '['
		for i, e := range v {
			if err := add(e, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return nil, err
			}
		}
	case string:
		f, err := ParseFormat(v)
		if err != nil {
			return nil, &PathError{Path: path, Why: err.Error()}
		}
		n.f = f
	case float64, bool, nil:
		if f, ok := v.(float64); ok && f != float64(int32(f)) {
			return nil, &PathError{Path: path, Why: fmt.Sprintf("%v is not a whole number of 32 bits; put it in quotes", f)}
		}
		b, err := json.Marshal(v)
		if err != nil {
			return nil, &PathError{Path: path, Why: err.Error()}
		}
		n.text = string(b)
	default:
		return nil, &PathError{Path: path, Why: fmt.Sprintf("has a value of type %T", v)}
	}
	return n, nil
}

// append appends the value; ok is false if it is null because it is not known.
func (n *jsonNode) append(dst []byte, e *Entry, omit bool) (_ []byte, ok bool) {
	switch {
	case n.open != 0:
		return n.appendKids(dst, e, omit), true
	case n.f == nil:
		return append(dst, n.text...), true
	case len(n.f.parts) == 1 && n.f.parts[0].op != opText:
		return n.f.parts[0].appendJSON(dst, e)
	}
	begin := len(dst)
	return quoteFrom(n.f.Append(dst, e, omit), begin), true
}

func (n *jsonNode) appendKids(dst []byte, e *Entry, omit bool) []byte {
	dst = append(dst, n.open)
	first := true
	for i := range n.kids {
		mark := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		if n.open == '{' {
			dst = append(dst, n.keys[i]...)
		}
		var ok bool
		if dst, ok = n.kids[i].append(dst, e, omit); !ok && omit && n.open == '{' {
			dst = dst[:mark]
			continue
		}
		first = false
	}
	return append(dst, n.open+2) // ASCII has them so
}

// appendJSON appends one command's value: a number, or a string, or null.
func (p *part) appendJSON(dst []byte, e *Entry) ([]byte, bool) {
	begin := len(dst)
	dst, ok := p.append(dst, e)
	switch {
	case !ok:
		return append(dst[:begin], "null"...), false
	case p.numeric():
		return dst, true
	}
	return quoteFrom(dst, begin), true
}

// quoteFrom makes what stands in dst from begin on a JSON string.
func quoteFrom(dst []byte, begin int) []byte {
	end := len(dst)
	dst = appendQuoted(dst, dst[begin:])
	n := copy(dst[begin:], dst[end:])
	return dst[:begin+n]
}

// appendQuoted appends v, which may be what dst ends with, as a JSON string.
func appendQuoted(dst, v []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range v {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func (v *validator) logs(path string, list []AccessLog) {
	for i, l := range list {
		p := fmt.Sprintf("%s[%d]", path, i)
		if l.Path == "" {
			v.fail(p+".path", "is empty")
		}
		if l.Text != "" && l.JSON != nil {
			v.fail(p, "has text_format and json_format, want one of them")
		}
		if l.OmitEmpty && l.Text == "" && l.JSON == nil {
			v.fail(p+".omit_empty_values", "is without a format of its own")
		}
		v.format(p+".text_format", l.Text)
		v.logFilter(p+".filter", l.Filter, 1)
		if l.JSON != nil {
			if _, err := compileJSON(l.JSON, p+".json_format"); err != nil {
				v.errs = append(v.errs, err)
			}
		}
	}
}

func (v *validator) format(path, text string) {
	if _, err := ParseFormat(text); err != nil {
		v.fail(path, "%v", err)
	}
}
