package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/meshnic/meshnic/internal/failure"
)

// maxFile is the longest description in bytes.
const maxFile = 1 << 20

// Parse reads the description of a lab, YAML or JSON, and checks it as Up does.
// An error is a failure.BadFile that names line and column in file, and what
// may stand there.
func Parse(text []byte, file string) (Spec, error) {
	r := reader{file: file, at: map[string]*yaml.Node{}}
	root, err := r.document(text)
	if err != nil {
		return Spec{}, err
	}
	r.walk(root, reflect.TypeFor[Spec](), "")
	if len(r.problems) > 0 {
		return Spec{}, r.failed()
	}
	var s Spec
	var plain any
	err = root.Decode(&plain)
	if err == nil {
		var b []byte
		if b, err = json.Marshal(plain); err == nil {
			err = json.Unmarshal(b, &s)
		}
	}
	if err != nil {
		r.add(root, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return Spec{}, r.failed()
	}
	if _, err = s.complete(); err != nil {
		r.add(r.nearest(err, root), "%v", err)
		return Spec{}, r.failed()
	}
	return s, nil
}

// reader keeps where everything stands in the file.
type reader struct {
	file     string
	problems []string
	at       map[string]*yaml.Node // by path, as hosts[1].ip
}

func (r *reader) add(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf("%s:%d:%d: %s", r.file, n.Line, n.Column, fmt.Sprintf(format, args...)))
}

func (r *reader) failed() error {
	return failure.New(failure.BadFile, "lab description "+r.file, strings.Join(r.problems, "\n  "), "mend the file; meshnic lab up --help shows one")
}

// document returns the root of the one document that text holds.
func (r *reader) document(text []byte) (*yaml.Node, error) {
	first := &yaml.Node{Line: 1, Column: 1}
	if len(text) > maxFile {
		r.add(first, "is %d bytes, more than %d", len(text), maxFile)
		return nil, r.failed()
	}
	var doc yaml.Node
	docs := yaml.NewDecoder(bytes.NewReader(text))
	err := docs.Decode(&doc)
	if err == nil && docs.Decode(new(yaml.Node)) == nil {
		r.add(first, "holds several documents (---), want one lab")
		return nil, r.failed()
	}
	switch {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) != 1:
		r.add(first, "is empty, want a mapping with name, fabric and hosts")
	case err != nil:
		var why string
		first.Line, why = failure.Syntax(text, err)
		r.add(first, "%s", why)
	default:
		return doc.Content[0], nil
	}
	return nil, r.failed()
}

// walk compares n, which stands at path, with the Go type that it is read into.
func (r *reader) walk(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind == yaml.AliasNode {
		r.add(n, "%saliases (*%s) are not read: write it out", label(path), n.Value)
		return
	}
	r.at[path] = n
	switch t.Kind() {
	case reflect.Struct:
		if n.Kind != yaml.MappingNode {
			r.add(n, "%swant a mapping with %s", label(path), strings.Join(fields(t), ", "))
			return
		}
		r.each(n, path, func(k, v *yaml.Node, at string) {
			if i := slices.Index(fields(t), k.Value); i >= 0 {
				r.walk(v, t.Field(i).Type, at)
				return
			}
			r.add(k, "%s: there is no such field, want %s", at, strings.Join(fields(t), ", "))
		})
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			r.add(n, "%swant a mapping of names to addresses", label(path))
			return
		}
		r.each(n, path, func(_, v *yaml.Node, at string) { r.walk(v, t.Elem(), at) })
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			r.add(n, "%swant a list", label(path))
			return
		}
		for i, v := range n.Content {
			r.walk(v, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		want := map[reflect.Kind][2]string{
			reflect.String: {"!!str", "text"}, reflect.Int: {"!!int", "a whole number"}, reflect.Bool: {"!!bool", "true or false"},
		}[t.Kind()]
		if n.Kind != yaml.ScalarNode || n.Tag != want[0] {
			r.add(n, "%swant %s", label(path), want[1])
		}
	}
}

// each calls f for the keys of a mapping; one that comes twice is a problem.
func (r *reader) each(n *yaml.Node, path string, f func(k, v *yaml.Node, at string)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		at := strings.TrimPrefix(path+"."+k.Value, ".")
		switch {
		case k.Kind != yaml.ScalarNode || k.Tag != "!!str":
			r.add(k, "%swant a name as key", label(path))
		case seen[k.Value]:
			r.add(k, "%s: is there twice", at)
		default:
			f(k, n.Content[i+1], at)
		}
		seen[k.Value] = true
	}
}

// nearest is what err is about, or what it stands in.
func (r *reader) nearest(err error, root *yaml.Node) *yaml.Node {
	var f *fieldError
	if !errors.As(err, &f) {
		return root
	}
	for path := f.path; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if n := r.at[path]; n != nil {
			return n
		}
	}
	return root
}

// fields are the names of a struct's fields in a file, in order.
func fields(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func label(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}
