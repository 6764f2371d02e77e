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
	Value     string       `json:"value"`
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
	remove [][]byte
	add    []addition
}

type addition struct {
	name   []byte
	line   []byte
	action AppendAction
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
			out.add = append(out.add, addition{[]byte(name), []byte(name + ": " + h.Value + "\r\n"), h.Action})
		}
		if len(out.remove)+len(out.add) > 0 {
			all = append(all, out)
		}
	}
	return all
}

// mutate changes the fields in dst from from on, each a line with its name in
// lower case.
func mutate(dst []byte, from int, levels []mutator, names map[string]bool) []byte {
	for i := range levels {
		m := &levels[i]
		for _, name := range m.remove {
			dst = without(dst, from, name)
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
				dst = without(dst, from, a.name)
				dst = append(dst, a.line...)
			}
		}
		for j := range m.add {
			if a := &m.add[j]; skip&(1<<j) == 0 && a.action != OverwriteOrAdd && a.action != OverwriteIfExists {
				n := len(dst)
				dst = append(dst, a.line...)
				if at := find(dst[from:n], a.name); at >= 0 && names[string(a.name)] {
					dst = joined(dst, from+at, n, len(a.name))
				}
			}
		}
	}
	return dst
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
