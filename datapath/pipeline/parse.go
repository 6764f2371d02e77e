package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/internal/failure"
)

// Limits of a file: more is a mistake, or an attack by aliases.
const (
	maxFile   = 1 << 20
	maxStages = 1024
	maxLines  = 20 // of an error
)

// Parse reads a description: a mapping with name, doc, clock_mhz and stages, or
// a bare list of stages, which may name own modules too. An error is a
// failure.BadFile whose cause is Problems.
func Parse(file []byte, name string, own ...module.Module) (*Description, error) {
	p := parser{own: &Description{Own: own}}
	if p.problems = p.own.owned(); len(p.problems) > 0 {
		return nil, bad(name, p.problems)
	}
	d := p.file(file)
	if len(p.problems) == 0 {
		d.Own = own
		p.problems = d.normalise()
	}
	if len(p.problems) > 0 {
		return nil, bad(name, p.problems)
	}
	return d, nil
}

func bad(name string, problems Problems) error {
	var lines []string
	for _, p := range problems {
		line := p.String()
		if p.Line > 0 {
			line = name + ":" + line
		}
		if !slices.Contains(lines, line) { // an alias repeats what it stands for
			lines = append(lines, line)
		}
	}
	if more := len(lines) - maxLines; more > 0 {
		lines = append(lines[:maxLines], fmt.Sprintf("and %d more", more))
	}
	return &failure.Error{Kind: failure.BadFile, What: "pipeline " + name, Why: strings.Join(lines, "\n  "), Err: nil,
		Next: "mend the file; `meshnic sim --modules` lists the modules and their parameters"}
}

type parser struct {
	problems Problems
	own      *Description // holds the user's modules
}

func (p *parser) add(n *yaml.Node, format string, args ...any) {
	p.problems = append(p.problems, Problem{Line: n.Line, Column: n.Column, Why: fmt.Sprintf(format, args...)})
}

func (p *parser) file(file []byte) *Description {
	var doc yaml.Node
	if len(file) > maxFile {
		p.problems = Problems{{Line: 1, Column: 1, Why: fmt.Sprintf("is %d bytes, more than %d", len(file), maxFile)}}
		return nil
	}
	if x, ok := unreadable(file); ok {
		p.problems = Problems{x}
		return nil
	}
	docs := yaml.NewDecoder(bytes.NewReader(file))
	err := docs.Decode(&doc)
	if err == nil {
		if err = docs.Decode(new(yaml.Node)); err == nil {
			p.problems = Problems{{Line: 1, Column: 1, Why: "holds several documents (---), want one with all stages in a list"}}
			return nil
		}
	}
	if !errors.Is(err, io.EOF) {
		line, why := failure.Syntax(file, err)
		p.problems = Problems{{Line: line, Column: 1, Why: why}}
		return nil
	}
	d := &Description{}
	if len(doc.Content) != 1 {
		p.problems = Problems{{Line: 1, Column: 1, Why: "is empty, want a list of stages"}}
		return nil
	}
	switch n := doc.Content[0]; n.Kind {
	case yaml.SequenceNode:
		d.Stages = p.stages(n)
	case yaml.MappingNode:
		if hasKey(n, "module") && !hasKey(n, "stages") {
			d.Stages = []Stage{p.stage(n)} // one stage is a list of one
			break
		}
		p.each(n, func(k, v *yaml.Node) {
			switch k.Value {
			case "name":
				d.Name = p.text(v)
			case "doc":
				d.Doc = p.text(v)
			case "schema":
				if p.text(v) != Schema {
					p.add(v, "schema is %q, want %q", v.Value, Schema)
				}
			case "clock_mhz":
				d.ClockMHz = p.clock(v)
			case "stages":
				d.Stages = p.stages(v)
			case "bytes", "frames", "gap", "sink", "inputs", "phases", "engine", "dest":
				p.add(k, "%s is of a run, not of a pipeline: give it on the command line, --%s %s", k.Value, k.Value, v.Value)
			default:
				p.add(k, "unknown field %q, want name, doc, schema, clock_mhz, stages", k.Value)
			}
		})
		if d.Stages == nil && len(p.problems) == 0 {
			p.add(n, "has no stages")
		}
	default:
		p.add(n, "is not a list of stages nor a mapping with stages")
	}
	return d
}

// hasKey reports whether a mapping has a key.
func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// each calls f for the pairs of a mapping and refuses a key that comes twice.
func (p *parser) each(n *yaml.Node, f func(k, v *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if seen[k.Value] {
			p.add(k, "field %q comes twice", k.Value)
		}
		seen[k.Value] = true
		for depth := 0; v.Kind == yaml.AliasNode && depth < 8; depth++ {
			v = v.Alias
		}
		f(k, v)
	}
}

func (p *parser) text(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		p.add(n, "is not a text")
	}
	return n.Value
}

func (p *parser) number(n *yaml.Node) float64 {
	switch n.Tag {
	case "!!int":
		if v, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 0, 64); err == nil {
			return float64(v)
		}
	case "!!float":
		if v, err := strconv.ParseFloat(n.Value, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v
		}
	case "!!bool":
		if v, err := strconv.ParseBool(n.Value); err == nil && v {
			return 1
		}
		return 0
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		p.add(n, "is not a number but a list or a mapping")
	case n.Tag == "!!null":
		p.add(n, "has no value, want a number")
	case n.Tag == "!!str" && numeric.MatchString(n.Value):
		p.add(n, "%q is a text, want a number: leave the quotes off", n.Value)
	default:
		p.add(n, "%q is not a number", n.Value)
	}
	return 0
}

var numeric = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

func (p *parser) clock(n *yaml.Node) float64 {
	before := len(p.problems)
	v := p.number(n)
	if len(p.problems) == before && !clockable(v) {
		p.add(n, "clock_mhz is %s, want %g to %d", n.Value, minMHz, maxMHz)
	}
	return v
}

func (p *parser) stages(n *yaml.Node) []Stage {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.add(n, "stages is not a list with at least one stage")
		return nil
	}
	if len(n.Content) > maxStages {
		p.add(n, "has %d stages, more than %d", len(n.Content), maxStages)
		return nil
	}
	var all []Stage
	for _, e := range n.Content {
		if e.Kind == yaml.AliasNode {
			e = e.Alias
		}
		all = append(all, p.stage(e))
	}
	return all
}

func (p *parser) stage(n *yaml.Node) Stage {
	s := Stage{Params: module.Args{}, at: position{n.Line, n.Column}}
	if n.Kind == yaml.ScalarNode { // a module without parameters
		s.Module = n.Value
		p.known(n, s)
		return s
	}
	if n.Kind != yaml.MappingNode {
		p.add(n, "a stage is a mapping like {module: axis_register, DATA_WIDTH: 64}")
		return s
	}
	where := map[string]*yaml.Node{"": n}
	given := module.Args{}
	var names []*yaml.Node
	params := func(k, v *yaml.Node) {
		if _, ok := where[k.Value]; ok && k.Value != "module" {
			p.add(k, "parameter %q comes twice", k.Value)
		}
		where[k.Value] = v
		names = append(names, k)
	}
	p.each(n, func(k, v *yaml.Node) {
		switch k.Value {
		case "module":
			s.Module, where["module"] = p.text(v), v
		case "name":
			s.Name = p.text(v)
			if !nameLike.MatchString(s.Name) || inputLike.MatchString(s.Name) {
				p.add(v, "name %q: want letters, digits, _ and -, and not in0, in1, …, which are the inputs", s.Name)
			}
		case "clock_mhz":
			s.ClockMHz = p.clock(v)
		case "from":
			s.From = p.from(v)
		case "params":
			if v.Kind == yaml.MappingNode {
				p.each(v, params)
			} else {
				p.add(v, "params is not a mapping")
			}
		default:
			params(k, v)
		}
	})
	if s.Module == "" && hasKey(n, "<<") {
		p.add(n, "merge keys (<<) are not read: write the stage out")
		return s
	}
	if s.Module == "" {
		p.add(n, "the stage has no module: want {module: axis_register, DATA_WIDTH: 64} or the like")
		return s
	}
	m := p.known(where["module"], s)
	if m == nil {
		return s
	}
	before := len(p.problems)
	for _, k := range names {
		if p.parameter(k, m) {
			given[k.Value] = p.number(where[k.Value])
		}
	}
	if s.Params = given; len(p.problems) > before {
		return s
	}
	if _, err := m.Fill(clocked(m, given, 1, 1)); err != nil {
		at := n
		var pe *module.ParamError
		if errors.As(err, &pe) && where[pe.Param] != nil {
			at = where[pe.Param]
		}
		p.add(at, "%v", err)
	}
	return s
}

var (
	nameLike  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	inputLike = regexp.MustCompile(`^in[0-9]+$`)
)

func (p *parser) from(n *yaml.Node) []string {
	switch n.Kind {
	case yaml.ScalarNode:
		return []string{n.Value}
	case yaml.SequenceNode:
		var all []string
		for _, e := range n.Content {
			all = append(all, p.text(e))
		}
		return all
	}
	p.add(n, "from is not a name or a list of names")
	return nil
}

// known returns the stage's module; if there is none, it says which are near.
func (p *parser) known(n *yaml.Node, s Stage) *module.Module {
	m, ok := p.own.Find(s.Module)
	if !ok {
		p.add(n, "unknown module %q%s", s.Module, p.own.near(s.Module))
		return nil
	}
	return m
}

// Schema is the version of the file format.
const Schema = "meshnic.pipeline/1"

// Refused is the failure of a description whose build found problems.
func Refused(name string, p Problems) error { return bad(name, p) }
