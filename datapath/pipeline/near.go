package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v3"

	"github.com/meshnic/meshnic/datapath/module"
)

// maxNear is how many names an error offers.
const maxNear = 5

// near says which module may have been meant; all there are if none is near.
func (d *Description) near(name string) string {
	var all []string
	for _, m := range slices.Concat(d.Own, Modules) {
		all = append(all, m.Name)
	}
	if some := nearest(name, all); len(some) > 0 {
		return fmt.Sprintf(", did you mean %s? (`meshnic sim --modules` lists all %d)", strings.Join(some, ", "), len(all))
	}
	return ", want " + strings.Join(all, ", ")
}

// parameter reports whether a key of a stage is one of its module's parameters,
// and says what may have been meant if it is not.
func (p *parser) parameter(k *yaml.Node, m *module.Module) bool {
	var all []string
	for _, x := range m.Params {
		if x.Name == k.Value {
			return true
		}
		all = append(all, x.Name)
	}
	if slices.ContainsFunc(m.Beside, func(x module.Param) bool { return x.Name == k.Value }) {
		return true
	}
	switch some := nearest(k.Value, all); {
	case k.Value == "<<":
		p.add(k, "merge keys (<<) are not read: write the stage's parameters out")
	case len(all) == 0:
		p.add(k, "%s has no parameters, nor %s", m.Name, k.Value)
	case len(some) > 0:
		p.add(k, "%s has no parameter %s, did you mean %s? It has %s", m.Name, k.Value, some[0], strings.Join(all, ", "))
	default:
		p.add(k, "%s has no parameter %s, it has %s", m.Name, k.Value, strings.Join(all, ", "))
	}
	return false
}

// nearest are the few of all that are at most a third of a name's letters off
// it, or contain it or a part of it, the nearest first.
func nearest(name string, all []string) []string {
	type match struct {
		name string
		off  int
	}
	name = strings.ToLower(name)
	if len(name) > 64 {
		return nil
	}
	var found []match
	for _, a := range all {
		low := strings.ToLower(a)
		off := edits(name, low)
		near := off <= (len(name)+2)/3 || len(name) > 3 && strings.Contains(low, name)
		for part := range strings.SplitSeq(name, "_") {
			near = near || len(part) > 3 && part != "axis" && part != "width" && strings.Contains(low, part)
		}
		if near {
			found = append(found, match{a, off})
		}
	}
	slices.SortStableFunc(found, func(x, y match) int { return cmp.Compare(x.off, y.off) })
	var names []string
	for _, f := range found[:min(maxNear, len(found))] {
		names = append(names, f.name)
	}
	return names
}

// edits is how many letters must be put in, taken out or changed between a and b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// unreadable finds the first byte that no text holds. UTF-16, which begins with
// its mark, is left to the YAML reader.
func unreadable(file []byte) (Problem, bool) {
	if len(file) > 1 && (file[0] == 0xff && file[1] == 0xfe || file[0] == 0xfe && file[1] == 0xff) {
		return Problem{}, false
	}
	line, column := 1, 1
	for at := 0; at < len(file); {
		r, n := utf8.DecodeRune(file[at:])
		switch {
		case r == utf8.RuneError && n == 1:
			return Problem{Line: line, Column: column, Why: fmt.Sprintf("byte 0x%02x is not UTF-8", file[at])}, true
		case r < ' ' && r != '\t' && r != '\n' && r != '\r':
			return Problem{Line: line, Column: column, Why: fmt.Sprintf("control character 0x%02x", file[at])}, true
		case r == '\n':
			line, column = line+1, 0
		}
		column++
		at += n
	}
	return Problem{}, false
}
