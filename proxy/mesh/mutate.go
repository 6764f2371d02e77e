package mesh

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/proxy/http1"
)

// AppendAction says what becomes of a header that is added and is there already.
type AppendAction string

// Envoy's actions, by its names.
const (
	AppendOrAdd       AppendAction = "APPEND_IF_EXISTS_OR_ADD" // one more; the default
	AddIfAbsent       AppendAction = "ADD_IF_ABSENT"
	OverwriteOrAdd    AppendAction = "OVERWRITE_IF_EXISTS_OR_ADD"
	OverwriteIfExists AppendAction = "OVERWRITE_IF_EXISTS"
)

// AppendActions are all of them.
func AppendActions() []string {
	return []string{string(AppendOrAdd), string(AddIfAbsent), string(OverwriteOrAdd), string(OverwriteIfExists)}
}

// HeaderValue is a header to be added.
type HeaderValue struct {
	Name      string       `json:"name"`
	Value     string       `json:"value"`                      // a format string: %% is a percent sign
	Action    AppendAction `json:"append_action,omitempty"`    // empty means AppendOrAdd
	KeepEmpty bool         `json:"keep_empty_value,omitempty"` // an empty value is added too
}

// Mutations are what is changed of a message's headers: what is taken out, and
// then what is added. A route's come before its virtual host's, and those before
// the listener's.
type Mutations struct {
	Remove []string      `json:"remove,omitempty"`
	Add    []HeaderValue `json:"add,omitempty"`
}

// HeaderMutations are those of requests, on their way upstream, and of responses.
type HeaderMutations struct {
	Request  Mutations `json:"request,omitzero"`
	Response Mutations `json:"response,omitzero"`
}

// mutator is a compiled Mutations, never empty.
type mutator struct {
	remove  [][]byte
	add     []addition
	formats bool // of one of add
}

type addition struct {
	name   []byte
	line   []byte  // of a value that is always the same
	format *Format // of one that is not
	keep   bool    // although it is empty
	action AppendAction
}

// formatted reports whether one of levels has format strings.
func formatted(levels []mutator) bool {
	return slices.ContainsFunc(levels, func(m mutator) bool { return m.formats })
}

// compileMutations leaves out what changes nothing.
func compileMutations(levels ...*Mutations) (all []mutator) {
	for _, m := range levels {
		out := mutator{}
		for _, name := range m.Remove {
			out.remove = append(out.remove, []byte(strings.ToLower(name)))
		}
		for _, h := range m.Add {
			if h.Value == "" && !h.KeepEmpty {
				continue
			}
			name := strings.ToLower(h.Name)
			a := addition{name: []byte(name), action: h.Action, keep: h.KeepEmpty}
			f, _ := ParseFormat(h.Value) // Validate has
			if text, ok := f.constant(); ok {
				a.line = []byte(name + ": " + text + "\r\n")
			} else {
				a.format, out.formats = f, true
			}
			out.add = append(out.add, a)
		}
		if len(out.remove)+len(out.add) > 0 {
			all = append(all, out)
		}
	}
	return all
}

// mutate changes the fields in dst from from on, each a line with its name in
// lower case. fields is where e has them, for the values that look at them; both
// are nil if none does.
func mutate(dst []byte, from int, levels []mutator, names map[string]bool, e *Entry, fields *[]byte) []byte {
	for i := range levels {
		m := &levels[i]
		for _, name := range m.remove {
			dst = without(dst, from, name)
		}
		if m.formats {
			*fields = dst[from:]
			e.render(m)
		}
		// What is overwritten comes before what is added, and whether a header is
		// there is asked before either.
		var skip uint64
		for j := range m.add {
			switch a := &m.add[j]; a.action {
			case AddIfAbsent, OverwriteIfExists:
				if (find(dst[from:], a.name) >= 0) == (a.action == AddIfAbsent) {
					skip |= 1 << j
				}
			}
		}
		for j := range m.add {
			if a := &m.add[j]; skip&(1<<j) == 0 && (a.action == OverwriteOrAdd || a.action == OverwriteIfExists) {
				if line := e.line(m, j); len(line) > 0 {
					dst = without(dst, from, a.name)
					dst = append(dst, line...)
				}
			}
		}
		for j := range m.add {
			if a := &m.add[j]; skip&(1<<j) == 0 && a.action != OverwriteOrAdd && a.action != OverwriteIfExists {
				n := len(dst)
				line := e.line(m, j)
				if dst = append(dst, line...); len(line) == 0 {
					continue
				}
				if at := find(dst[from:n], a.name); at >= 0 && names[string(a.name)] {
					dst = joined(dst, from+at, n, len(a.name))
				}
			}
		}
	}
	return dst
}

// render makes the lines of m's format strings, all of them before any is added.
func (e *Entry) render(m *mutator) {
	e.scratch, e.lines = e.scratch[:0], append(e.lines[:0], make([][2]uint32, len(m.add))...)
	for j := range m.add {
		a := &m.add[j]
		if a.format == nil {
			continue
		}
		begin := len(e.scratch)
		e.scratch = append(append(e.scratch, a.name...), ": "...)
		value := len(e.scratch)
		e.scratch = onOneLine(a.format.Append(e.scratch, e, true), value)
		if len(e.scratch) == value && !a.keep {
			e.scratch = e.scratch[:begin]
		} else {
			e.scratch = append(e.scratch, "\r\n"...)
		}
		e.lines[j] = [2]uint32{uint32(begin), uint32(len(e.scratch))}
	}
}

// line is the line of m's addition j, empty if nothing is added.
func (e *Entry) line(m *mutator, j int) []byte {
	if a := &m.add[j]; a.format == nil {
		return a.line
	}
	at := e.lines[j]
	return e.scratch[at[0]:at[1]]
}

// onOneLine takes what may not stand in a header out of dst from from on: it may
// come from a query, decoded.
func onOneLine(dst []byte, from int) []byte {
	to := from
	for _, c := range dst[from:] {
		if c >= ' ' && c != 0x7f || c == '\t' {
			dst[to] = c
			to++
		}
	}
	return dst[:to]
}

// maxAdditions is how many headers one level may add: as many as mutate has bits.
const maxAdditions = 64

// without takes all fields of a name out of dst from from on.
func without(dst []byte, from int, name []byte) []byte {
	for {
		at := find(dst[from:], name)
		if at < 0 {
			return dst
		}
		from += at
		dst = append(dst[:from], dst[from+bytes.IndexByte(dst[from:], '\n')+1:]...)
	}
}

// untouchable are the headers that frame a message, or that the proxy sets after
// all mutations.
var untouchable = []string{"host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "expect", "keep-alive", "proxy-connection", "date", "server",
	"x-envoy-original-path", "x-envoy-original-host"}

func (v *validator) mutations(path string, m *HeaderMutations) {
	for _, x := range []struct {
		path string
		m    *Mutations
	}{{path + ".request", &m.Request}, {path + ".response", &m.Response}} {
		for i, name := range x.m.Remove {
			v.headerName(fmt.Sprintf("%s.remove[%d]", x.path, i), name)
		}
		if len(x.m.Add) > maxAdditions {
			v.fail(x.path+".add", "has %d entries, want at most %d", len(x.m.Add), maxAdditions)
		}
		for i, h := range x.m.Add {
			p := fmt.Sprintf("%s.add[%d]", x.path, i)
			v.headerName(p+".name", h.Name)
			if strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				v.fail(p+".value", "%q has a control character", h.Value)
			}
			v.format(p+".value", h.Value)
			if h.Action != "" && !slices.Contains(AppendActions(), string(h.Action)) {
				v.fail(p+".append_action", "is %q, want one of %s", h.Action, strings.Join(AppendActions(), ", "))
			}
		}
	}
}

func (v *validator) headerName(path, name string) {
	switch {
	case !http1.IsToken(name):
		v.fail(path, "%q is not a header's name", name)
	case slices.Contains(untouchable, strings.ToLower(name)):
		v.fail(path, "%s cannot be changed: the proxy sets it last", name)
	}
}
