package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/bench"
)

// manifest is what ran where, merged over the documents of a run: a value that
// is the same everywhere is shown once.
type manifest struct {
	Fields    []field
	Binaries  []binary
	Files     [][2]string // name, sha256
	Placement [][2]string // process, cores
	Notes     []string
}

type field struct {
	Name   string
	Values []string
}

type binary struct{ Name, Version, Path, SHA256 string }

func newManifest(run Run) manifest {
	var m manifest
	docs := run.order()
	for _, f := range []struct {
		name  string
		value func(bench.Manifest) string
	}{
		{"started", func(m bench.Manifest) string { return m.Started }},
		{"command", func(m bench.Manifest) string { return strings.Join(m.Command, " ") }},
		{"meshnic", func(m bench.Manifest) string { return m.Version }},
		{"seed", func(m bench.Manifest) string { return strconv.FormatUint(m.Seed, 10) }},
		{"repeats", func(m bench.Manifest) string { return strconv.Itoa(m.Repeats) }},
		{"kernel", func(m bench.Manifest) string { return m.Kernel }},
		{"TCP congestion control", func(m bench.Manifest) string { return cmp.Or(m.TCPCongestion, "not noted") }},
		{"CPU", func(m bench.Manifest) string { return fmt.Sprintf("%s, %s", m.CPU, plural(m.Cores, "core")) }},
		{"memory", func(m bench.Manifest) string { return fmt.Sprintf("%d MiB", m.MemoryMiB) }},
		{"load when it began", func(m bench.Manifest) string { return fixed(m.Load1, 2) + " (average over one minute)" }},
		{"root", func(m bench.Manifest) string {
			if m.Root {
				return "yes"
			}
			return "no, in a user and network namespace"
		}},
	} {
		m.Fields = append(m.Fields, field{f.name, merge(docs, f.value)})
	}
	m.collect(docs)
	return m
}

// merge returns the one value all documents share, or each with its documents.
func merge(docs []bench.Document, value func(bench.Manifest) string) []string {
	var values []string
	who := map[string][]string{}
	for _, d := range docs {
		v := value(d.Manifest)
		if who[v] == nil {
			values = append(values, v)
		}
		who[v] = append(who[v], label(d))
	}
	if len(values) < 2 {
		return values
	}
	for i, v := range values {
		values[i] = v + " — " + strings.Join(who[v], "; ")
	}
	return values
}

func (m *manifest) collect(docs []bench.Document) {
	add := func(list [][2]string, from map[string]string) [][2]string {
		for _, k := range slices.Sorted(maps.Keys(from)) {
			if pair := [2]string{k, from[k]}; !slices.Contains(list, pair) {
				list = append(list, pair)
			}
		}
		return list
	}
	for _, d := range docs {
		for _, k := range slices.Sorted(maps.Keys(d.Manifest.Binaries)) {
			b := d.Manifest.Binaries[k]
			if e := (binary{k, b.Version, b.Path, b.SHA256}); !slices.Contains(m.Binaries, e) {
				m.Binaries = append(m.Binaries, e)
			}
		}
		m.Files = add(m.Files, d.Manifest.Files)
		place := map[string]string{}
		for k, v := range d.Manifest.Placement {
			place[k] = v
		}
		for _, p := range m.Placement { // the same process elsewhere is another line
			if v, ok := place[p[0]]; ok && v != p[1] {
				place[p[0]+" ("+label(d)+")"] = v
				delete(place, p[0])
			}
		}
		m.Placement = add(m.Placement, place)
		for _, n := range d.Manifest.Notes {
			if !slices.Contains(m.Notes, n) {
				m.Notes = append(m.Notes, n)
			}
		}
	}
}
