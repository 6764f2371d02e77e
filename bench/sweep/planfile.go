package sweep

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/internal/failure"
)

// PlanSchema is the version of the plan file's format.
const PlanSchema = "meshnic.sweep-plan/1"

// maxFile is the longest plan file in bytes.
const maxFile = 1 << 20

// ParsePlan reads a plan file: a mapping with pipeline, vary, traffic and chart.
// load returns the pipeline of a name. The error names line, column and what may
// stand there.
func ParsePlan(text []byte, name string, load func(string) (*pipeline.Description, error)) (*Plan, error) {
	f := planFile{plan: &Plan{}, load: load}
	if err := f.file(text); err != nil {
		return nil, err
	}
	if len(f.problems) > 0 {
		for i, p := range f.problems {
			f.problems[i] = name + ":" + p
		}
		return nil, failure.New(failure.BadFile, "plan "+name, strings.Join(f.problems, "\n  "), "mend the file; `meshnic sweep --help` has an example")
	}
	return f.plan, f.plan.Complete()
}

type planFile struct {
	plan     *Plan
	load     func(string) (*pipeline.Description, error)
	problems []string
}

func (f *planFile) add(n *yaml.Node, format string, args ...any) {
	f.problems = append(f.problems, fmt.Sprintf("%d:%d: ", n.Line, n.Column)+fmt.Sprintf(format, args...))
}

// file reads the whole; its error is the pipeline's own.
func (f *planFile) file(text []byte) error {
	const known = "schema, pipeline, vary, traffic, chart"
	var doc yaml.Node
	if len(text) > maxFile {
		f.problems = []string{fmt.Sprintf("1:1: is %d bytes, more than %d", len(text), maxFile)}
		return nil
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		line, why := failure.Syntax(text, err)
		f.problems = []string{fmt.Sprintf("%d:1: %s", line, why)}
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		f.problems = []string{"1:1: is not a mapping with " + known}
		return nil
	}
	var vary, traffic *yaml.Node
	var failed error
	f.each(doc.Content[0], func(k, v *yaml.Node) {
		switch k.Value {
		case "schema":
			if v.Value != PlanSchema {
				f.add(v, "schema is %q, want %q", v.Value, PlanSchema)
			}
		case "pipeline":
			failed = f.pipeline(v)
		case "vary":
			vary = v
		case "traffic":
			traffic = v
		case "chart":
			c, err := ParseChart(v.Value)
			if err != nil {
				f.add(v, "%v", err)
			}
			f.plan.Chart = c
		default:
			f.add(k, "unknown field %q, want %s", k.Value, known)
		}
	})
	if failed != nil {
		return failed
	}
	if f.plan.Pipeline == nil && len(f.problems) == 0 {
		f.add(doc.Content[0], "has no pipeline, want one of %s, or a YAML file", strings.Join(pipeline.Shipped(), ", "))
	}
	if vary != nil && f.plan.Pipeline != nil {
		f.vary(vary)
	}
	if traffic != nil {
		f.traffic(traffic)
	}
	return nil
}

// each calls fn for the pairs of a mapping and refuses a key that comes twice.
func (f *planFile) each(n *yaml.Node, fn func(k, v *yaml.Node)) {
	var seen []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if slices.Contains(seen, k.Value) {
			f.add(k, "field %q comes twice", k.Value)
		}
		seen = append(seen, k.Value)
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		fn(k, v)
	}
}

// pipeline loads the pipeline. What is wrong inside its file is an error with
// places of its own; a name that is none is one of the plan's.
func (f *planFile) pipeline(v *yaml.Node) (err error) {
	const want = "want one of %s, or a YAML file beside the plan"
	shipped := strings.Join(pipeline.Shipped(), ", ")
	if v.Kind != yaml.ScalarNode || v.Value == "" {
		f.add(v, "pipeline is not a name, "+want, shipped)
		return nil
	}
	f.plan.Pipeline, err = f.load(v.Value)
	var missing *NoPipeline
	if errors.As(err, &missing) {
		f.add(v, "pipeline %q: %v, "+want, v.Value, missing.Err, shipped)
		return nil
	}
	return err
}

// NoPipeline is the error of a pipeline that cannot be read at all.
type NoPipeline struct{ Err error }

func (e *NoPipeline) Error() string { return e.Err.Error() }
func (e *NoPipeline) Unwrap() error { return e.Err }

func (f *planFile) vary(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		f.add(n, "vary is not a mapping like {fifo.DEPTH: 512..65536:x2}")
		return
	}
	f.each(n, func(k, v *yaml.Node) {
		values, ok := f.values(v)
		if !ok {
			return
		}
		f.plan.Vary = append(f.plan.Vary, Vary{fields(k.Value), values})
		if err := f.plan.checkVary(len(f.plan.Vary) - 1); err != nil {
			f.add(k, "%v", err)
		}
	})
}

// scalars is a scalar, or the scalars of a list, with commas between.
func (f *planFile) scalars(n *yaml.Node) (string, bool) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	var all []string
	for _, e := range list {
		if e.Kind != yaml.ScalarNode {
			f.add(e, "is not a value or a list of values")
			return "", false
		}
		all = append(all, e.Value)
	}
	return strings.Join(all, ","), true
}

func (f *planFile) values(n *yaml.Node) ([]float64, bool) {
	text, ok := f.scalars(n)
	if !ok {
		return nil, false
	}
	values, err := ParseRange(text)
	if err != nil {
		f.add(n, "%v", err)
	}
	return values, err == nil
}

func (f *planFile) traffic(n *yaml.Node) {
	const known = "bytes, frames, gap, sink, inputs, phases, engine, dest"
	if n.Kind != yaml.MappingNode {
		f.add(n, "traffic is not a mapping with %s", known)
		return
	}
	t := &f.plan.Traffic
	where := map[string]*yaml.Node{}
	ints := func(v *yaml.Node) []int {
		values, ok := f.values(v)
		all, err := Whole(values)
		if ok && err != nil {
			f.add(v, "%v", err)
		}
		return all
	}
	one := func(v *yaml.Node) int {
		i, err := strconv.Atoi(v.Value)
		if err != nil || i == 0 && v.Value != "0" {
			f.add(v, "%q is not a whole number", v.Value)
		}
		return i
	}
	before := len(f.problems)
	f.each(n, func(k, v *yaml.Node) {
		where[k.Value] = v
		switch k.Value {
		case "bytes":
			t.Bytes = ints(v)
		case "frames":
			t.Frames = ints(v)
		case "gap":
			t.Gap = ints(v)
		case "inputs":
			t.Inputs = ints(v)
		case "sink":
			if text, ok := f.scalars(v); ok {
				t.Sink = fields(text)
			}
		case "phases":
			t.Phases = one(v)
		case "dest":
			if text, ok := f.scalars(v); ok {
				t.Dest = text
			}
		case "engine":
			t.Engine = v.Value
		default:
			f.add(k, "unknown field %q, want %s", k.Value, known)
		}
	})
	if len(f.problems) > before {
		return
	}
	checked := *t
	checked.defaults()
	if field, err := checked.check(); err != nil {
		f.add(where[field], "%v", err)
	}
}
