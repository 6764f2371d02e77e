package pipeline

import (
	"errors"
	"fmt"
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
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.String()
		if p.Line > 0 {
			lines[i] = name + ":" + lines[i]
		}
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

var lineOf = regexp.MustCompile(`line (\d+): (.*)$`)

func (p *parser) file(file []byte) *Description {
	var doc yaml.Node
	if len(file) > maxFile {
		p.problems = Problems{{Line: 1, Column: 1, Why: fmt.Sprintf("is %d bytes, more than %d", len(file), maxFile)}}
		return nil
	}
	if err := yaml.Unmarshal(file, &doc); err != nil {
		x := Problem{Line: 1, Column: 1, Why: strings.TrimPrefix(err.Error(), "yaml: ")}
		if m := lineOf.FindStringSubmatch(x.Why); m != nil {
			x.Line, _ = strconv.Atoi(m[1])
			x.Why = m[2]
		}
		p.problems = Problems{x}
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
			case "stages", "pipeline":
				d.Stages = p.stages(v)
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
	p.add(n, "%q is not a number", n.Value)
	return 0
}

func (p *parser) clock(n *yaml.Node) float64 {
	before := len(p.problems)
	v := p.number(n)
	if len(p.problems) == before && (v <= 0 || v > 10_000) {
		p.add(n, "clock_mhz is %s, want more than 0 and at most 10000", n.Value)
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
	params := func(k, v *yaml.Node) {
		if v.Kind != yaml.ScalarNode {
			p.add(v, "parameter %s is not a number", k.Value)
			return
		}
		given[k.Value], where[k.Value] = p.number(v), v
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
	if s.Module == "" {
		p.add(n, "the stage has no module")
		return s
	}
	m := p.known(where["module"], s)
	if m == nil {
		return s
	}
	s.Params = given
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
		p.add(n, "unknown module %q, want %s", s.Module, p.own.near(s.Module))
		return nil
	}
	return m
}

// near lists the module names that share the longest beginning or any part with
// name; all of them if none does.
func (d *Description) near(name string) string {
	var all, some []string
	for _, m := range slices.Concat(d.Own, Modules) {
		all = append(all, m.Name)
		for part := range strings.SplitSeq(strings.ToLower(name), "_") {
			if len(part) > 2 && part != "axis" && strings.Contains(m.Name, part) {
				some = append(some, m.Name)
				break
			}
		}
	}
	if len(some) > 0 {
		return strings.Join(some, ", ") + " (of " + strconv.Itoa(len(all)) + " modules)"
	}
	return strings.Join(all, ", ")
}

// Schema is the version of the file format.
const Schema = "meshnic.pipeline/1"

// Refused is the failure of a description whose build found problems.
func Refused(name string, p Problems) error { return bad(name, p) }
