package envoyconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	yaml "go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/meshnic/meshnic/internal/failure"
)

// node is a value in the file and where it stands.
type node struct {
	*yaml.Node
	line, column int
}

// parse reads the file as YAML, of which JSON is a part.
func parse(file []byte) (*node, []Problem) {
	var doc yaml.Node
	if err := yaml.Unmarshal(file, &doc); err != nil {
		line, why := failure.Syntax(file, err)
		return nil, []Problem{{Line: line, Column: 1, Why: why}}
	}
	if len(doc.Content) == 0 {
		return nil, []Problem{{Line: 1, Column: 1, Why: "is empty, want a mapping with static_resources"}}
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, []Problem{{Line: 1, Column: 1, Why: "is not a mapping"}}
	}
	return wrap(doc.Content[0]), nil
}

func wrap(n *yaml.Node) *node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return &node{Node: n, line: n.Line, column: n.Column}
}

// json is n as JSON. Keys are what they are written as, whatever YAML 1.1 would
// take "n" and "on" for; in YAML a number that is not one of
// 32 bits is text, as it is to Envoy. The fields whose keys are in over are left
// out.
func (n *node) json(isJSON bool, over map[*yaml.Node]bool) ([]byte, error) {
	v, err := plain(n.Node, isJSON, over)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func plain(n *yaml.Node, isJSON bool, over map[*yaml.Node]bool) (v any, err error) {
	switch n = wrap(n).Node; n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if over[n.Content[i]] {
				continue
			}
			if m[wrap(n.Content[i]).Value], err = plain(n.Content[i+1], isJSON, over); err != nil {
				return nil, err
			}
		}
		return m, nil
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, e := range n.Content {
			if list[i], err = plain(e, isJSON, over); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	switch tag := n.ShortTag(); {
	case tag == "!!int" && !isJSON:
		if i, err := strconv.ParseInt(n.Value, 0, 32); err == nil {
			return i, nil
		}
		return n.Value, nil
	case tag == "!!bool", tag == "!!int", tag == "!!null", tag == "!!float" && isJSON:
		err = n.Decode(&v)
		return v, err
	case oldBool(n):
		w := strings.ToLower(n.Value)
		return w == "y" || w == "yes" || w == "on", nil
	}
	return n.Value, nil
}

// oldBool reports whether Envoy, like YAML before 1.2, takes n for a boolean
// because it is not in quotes.
func oldBool(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return false
	}
	return isOldBool(n.Value)
}

func isOldBool(s string) bool {
	switch lower := strings.ToLower(s); lower {
	case "y", "n", "yes", "no", "on", "off":
		// In one case, or with a capital alone.
		return s == lower || s == strings.ToUpper(s) || s[1:] == lower[1:]
	}
	return false
}

// has reports whether there is a value at a path, and not just above it.
func (n *node) has(path string) bool {
	for first, rest, more := "", path, true; more; {
		if first, rest, more = strings.Cut(rest, "."); n.Kind != yaml.MappingNode {
			return false
		}
		below := n.find(first)
		if below == n {
			return false
		}
		n = below
	}
	return true
}

// find returns the value at a path like "a.b[0].c", or the nearest above it.
func (n *node) find(path string) *node {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	for i := 0; i < len(parts); i++ {
		part, next := parts[i], (*yaml.Node)(nil)
		switch n.Kind {
		case yaml.SequenceNode:
			if at, err := strconv.Atoi(part); err == nil && at < len(n.Content) {
				next = n.Content[at]
			}
		case yaml.MappingNode:
			for j := 0; j+1 < len(n.Content); j += 2 {
				if k := n.Content[j].Value; k == part || snake(k) == part {
					next = n.Content[j+1]
				} else if dots := strings.Count(k, "."); dots > 0 && i+dots < len(parts) && strings.Join(parts[i:i+dots+1], ".") == k {
					next = n.Content[j+1]
					i += dots
					break
				}
			}
		}
		if next == nil {
			return n
		}
		n = wrap(next)
	}
	return n
}

// snake turns protojson's other spelling, camelCase, into the one of the
// definition.
func snake(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// check holds the file against Envoy's definition and against carried.
func check(n *node, items *[]Item) *checker {
	c := &checker{items: items, over: map[*yaml.Node]bool{}}
	c.message(n, "", (&bootstrapv3.Bootstrap{}).ProtoReflect().Descriptor())
	return c
}

type checker struct {
	items    *[]Item             // where verdicts go, nil for nowhere
	over     map[*yaml.Node]bool // keys of fields that are ignored
	problems []Problem
	depth    int
	messages int
}

// Limits of what aliases may make of a file: they can nest it without end, and
// multiply it.
const (
	maxDepth    = 64
	maxMessages = 1 << 20
)

func (c *checker) fail(n *node, path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Line: n.line, Column: n.column, Path: path, Why: fmt.Sprintf(format, args...)})
}

func (c *checker) message(n *node, path string, d protoreflect.MessageDescriptor) {
	c.depth++
	defer func() { c.depth-- }()
	if c.messages++; c.depth > maxDepth || c.messages > maxMessages {
		if c.depth <= maxDepth && c.messages > maxMessages+1 {
			return // said once
		}
		c.fail(n, path, "is nested too deeply, or too much")
		return
	}
	if n.Kind != yaml.MappingNode {
		c.fail(n, path, "want a mapping (%s)", d.Name())
		return
	}
	c.judged(n, path, d)
	seen, of := map[string]bool{}, map[protoreflect.Name]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := wrap(n.Content[i]), wrap(n.Content[i+1])
		p := strings.TrimPrefix(path+"."+snake(k.Value), ".")
		f := d.Fields().ByName(protoreflect.Name(k.Value))
		if f == nil {
			f = d.Fields().ByJSONName(k.Value)
		}
		if f == nil {
			c.fail(k, p, "%s has no such field", d.Name())
			continue
		}
		name := string(f.Name())
		if seen[name] {
			c.fail(k, p, "is given twice")
			continue
		}
		seen[name] = true
		if one := f.ContainingOneof(); one != nil && !one.IsSynthetic() {
			if other := of[one.Name()]; other != "" {
				c.fail(k, p, "is given besides %s, want one of them", other)
			}
			of[one.Name()] = name
		}
		if why, ok := ignored[d.FullName()][name]; ok {
			c.over[n.Content[i]] = true
			if c.items != nil {
				*c.items = append(*c.items, Item{k.line, k.column, p, Ignored, why})
			}
			continue
		}
		values, ok := carried[d.FullName()][name]
		if !ok {
			c.fail(k, p, "is not supported; carried of %s: %s", d.Name(), list(carried[d.FullName()]))
			continue
		}
		c.field(v, p, f, values)
	}
}

func list(m map[string][]string) string {
	if len(m) == 0 {
		return "nothing"
	}
	var names []string
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (c *checker) field(v *node, path string, f protoreflect.FieldDescriptor, values []string) {
	if f.IsMap() {
		c.byName(v, path, f.MapValue())
		return
	}
	if !f.IsList() {
		c.value(v, path, f, values)
		return
	}
	if v.Kind != yaml.SequenceNode {
		c.fail(v, path, "want a list")
		return
	}
	for i, e := range v.Content {
		c.value(wrap(e), fmt.Sprintf("%s[%d]", path, i), f, values)
	}
}

// byName checks a mapping whose keys are names.
func (c *checker) byName(v *node, path string, f protoreflect.FieldDescriptor) {
	if v.Kind != yaml.MappingNode {
		c.fail(v, path, "want a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.Content); i += 2 {
		k := wrap(v.Content[i])
		if seen[k.Value] || k.Kind != yaml.ScalarNode {
			c.fail(k, path, "%q is no key, or is given twice", k.Value)
		}
		seen[k.Value] = true
		c.value(wrap(v.Content[i+1]), path+"."+k.Value, f, nil)
	}
}

func (c *checker) value(v *node, path string, f protoreflect.FieldDescriptor, values []string) {
	if f.Kind() == protoreflect.MessageKind {
		switch f.Message().FullName() {
		case "google.protobuf.Any":
			c.any(v, path)
		case "google.protobuf.Duration":
			if err := checkDuration(v); err != nil {
				c.fail(v, path, "%v", err)
			}
		case "google.protobuf.BoolValue":
			c.truth(v, path)
		case "google.protobuf.Struct":
			if v.Kind != yaml.MappingNode {
				c.fail(v, path, "want a mapping")
				return
			}
			c.free(v, path)
		case "google.protobuf.UInt32Value", "google.protobuf.UInt64Value": // the latter are sizes below 2³²
			c.number(v, path)
		default:
			c.message(v, path, f.Message())
		}
		return
	}
	if f.Kind() == protoreflect.BoolKind {
		c.truth(v, path)
		return
	}
	if v.Kind != yaml.ScalarNode {
		c.fail(v, path, "want a single value (%s)", f.Kind())
		return
	}
	switch f.Kind() {
	case protoreflect.EnumKind:
		if !slices.Contains(values, v.Value) {
			c.fail(v, path, "is %q, supported: %s", v.Value, strings.Join(values, ", "))
		}
	case protoreflect.Uint32Kind, protoreflect.Int64Kind: // of the latter there are counts
		c.number(v, path)
	case protoreflect.DoubleKind:
		if _, err := strconv.ParseFloat(v.Value, 64); err != nil {
			c.fail(v, path, "%q is not a number", v.Value)
		}
	case protoreflect.StringKind:
		if v.ShortTag() != "!!str" || oldBool(v.Node) {
			c.fail(v, path, "%s is not a string; put it in quotes", v.Value)
		}
	}
}

func (c *checker) truth(v *node, path string) {
	if v.Kind != yaml.ScalarNode || v.ShortTag() != "!!bool" {
		c.fail(v, path, "want true or false")
	}
}

// free checks a value that may be anything JSON has.
func (c *checker) free(v *node, path string) {
	c.depth++
	defer func() { c.depth-- }()
	if c.messages++; c.depth > maxDepth || c.messages > maxMessages {
		if c.depth > maxDepth || c.messages == maxMessages+1 {
			c.fail(v, path, "is nested too deeply, or too much")
		}
		return
	}
	switch v.Kind {
	case yaml.MappingNode:
		seen := map[string]bool{}
		for i := 0; i+1 < len(v.Content); i += 2 {
			k := wrap(v.Content[i])
			if seen[k.Value] || k.Kind != yaml.ScalarNode {
				c.fail(k, path, "%q is no key, or is given twice", k.Value)
			}
			seen[k.Value] = true
			c.free(wrap(v.Content[i+1]), path+"."+k.Value)
		}
	case yaml.SequenceNode:
		for i, e := range v.Content {
			c.free(wrap(e), fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

func (c *checker) number(v *node, path string) {
	if _, err := strconv.ParseUint(v.Value, 10, 32); err != nil || v.Kind != yaml.ScalarNode {
		c.fail(v, path, "%q is not a number of 0 to %d", v.Value, uint32(1<<32-1))
	}
}

// checkDuration accepts what protojson does: seconds with up to nine decimals
// and an s.
func checkDuration(v *node) error {
	if v.Kind != yaml.ScalarNode || !durationText.MatchString(v.Value) {
		return fmt.Errorf("%q is not a duration like 5s or 0.25s", v.Value)
	}
	if _, err := time.ParseDuration(v.Value); err != nil {
		return errors.New("is too long a duration")
	}
	return nil
}

var durationText = regexp.MustCompile(`^\d+(\.\d{1,9})?s$`)

// any checks a typed_config by the type that its @type names.
func (c *checker) any(v *node, path string) {
	if v.Kind != yaml.MappingNode {
		c.fail(v, path, "want a mapping with @type")
		return
	}
	rest := &yaml.Node{Kind: yaml.MappingNode, Line: v.line, Column: v.column}
	var url *node
	for i := 0; i+1 < len(v.Content); i += 2 {
		if v.Content[i].Value == "@type" {
			url = wrap(v.Content[i+1])
		} else {
			rest.Content = append(rest.Content, v.Content[i], v.Content[i+1])
		}
	}
	if url == nil {
		c.fail(v, path, "has no @type")
		return
	}
	name := protoreflect.FullName(strings.TrimPrefix(url.Value, typePrefix))
	if _, ok := carried[name]; !ok {
		c.fail(url, path+".@type", "%s is not supported", url.Value)
		return
	}
	m, err := protoregistry.GlobalTypes.FindMessageByURL(url.Value)
	if err != nil {
		c.fail(url, path+".@type", "%v", err)
		return
	}
	c.message(wrap(rest), path, m.Descriptor())
}
