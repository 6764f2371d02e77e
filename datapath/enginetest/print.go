package enginetest

import (
	"fmt"
	"go/format"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/sim"
)

// GoTest is a file with the case as a test, ready to be saved as a _test.go file
// in any package of the module.
func (c *Case) GoTest(name string) string {
	var b strings.Builder
	put := func(f string, args ...any) { fmt.Fprintf(&b, f, args...) }
	put("package enginetest_test\n\nimport (\n\"testing\"\n\n\"github.com/stretchr/testify/require\"\n\n")
	put("\"github.com/meshnic/meshnic/datapath/enginetest\"\n\"github.com/meshnic/meshnic/datapath/module\"\n")
	put("\"github.com/meshnic/meshnic/datapath/pipeline\"\n")
	if len(c.Sources) > 0 || len(c.Steps) > 0 {
		put("\"github.com/meshnic/meshnic/datapath/sim\"\n")
	}
	put(")\n\n")
	put("func Test%s(t *testing.T) {\nc := enginetest.Case{\nPipeline: pipeline.Description{ClockMHz: %s, Stages: []pipeline.Stage{\n", name, number(c.Pipeline.ClockMHz))
	for _, st := range c.Pipeline.Stages {
		put("{Module: %q, Name: %q, From: %#v", st.Module, st.Name, st.From)
		if st.ClockMHz != 0 {
			put(", ClockMHz: %s", number(st.ClockMHz))
		}
		put(", Params: module.Args{")
		for i, p := range slices.Sorted(maps.Keys(st.Params)) {
			if i > 0 {
				put(", ")
			}
			put("%q: %s", p, number(st.Params[p]))
		}
		put("}},\n")
	}
	put("}},\n")
	if c.Skew != 0 {
		put("Skew: %d,\n", c.Skew)
	}
	if c.Acts != 0 {
		put("Acts: %d,\n", c.Acts)
	}
	put("Sources: []enginetest.Source{\n")
	for _, s := range c.Sources {
		put("{Name: %q%s, Frames: []sim.Frame{\n", s.Name, fields("Lane", s.Lane, "Deficit", s.Deficit, "IFG", s.IFG))
		for _, f := range s.Frames {
			put("{ID: %d, Bytes: %d%s},\n", f.ID, f.Bytes, frameFields(f))
		}
		put("}},\n")
	}
	put("},\n")
	if len(c.Sinks) > 0 {
		put("Sinks: []enginetest.Sink{\n")
		for _, s := range c.Sinks {
			put("{Wire: %q, Pattern: %q%s},\n", s.Wire, s.Pattern, fields("Seed", int(s.Seed), "From", int(s.From), "Thaw", int(s.Thaw)))
		}
		put("},\n")
	}
	if len(c.Clocked) > 0 {
		put("Clocked: %#v,\n", c.Clocked)
	}
	if len(c.Steps) > 0 {
		put("Steps: []sim.Picos{%s},\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Steps), " ", ", "), "[]"))
	}
	if c.Order != 0 {
		put("Order: %d,\n", c.Order)
	}
	put("}\nrequire.Empty(t, c.Diff())\n}\n")
	file, err := format.Source([]byte(b.String()))
	if err != nil {
		panic(err) // a test prints many
	}
	return string(file)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// fields are those of some fields that are not 0.
func fields(pairs ...any) (s string) {
	for i := 0; i < len(pairs); i += 2 {
		if v := pairs[i+1].(int); v != 0 {
			s += fmt.Sprintf(", %s: %d", pairs[i], v)
		}
	}
	return s
}

func frameFields(f sim.Frame) string {
	s := fields("Dest", int(f.Dest), "At", int(f.At), "Gap", int(f.Gap))
	if f.Bad {
		s += ", Bad: true"
	}
	return s
}
