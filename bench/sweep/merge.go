package sweep

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/internal/failure"
)

// Merge puts the points of several files together. They must be of one plan and
// one version; a point that several have must be the same in all.
func Merge(files []*File) (*File, error) {
	first := files[0]
	out := &File{Name: first.Name, Head: first.Head}
	from := map[int]*File{}
	points := map[int]Point{}
	for _, f := range files {
		what := fmt.Sprintf("merge %s with %s", f.Name, first.Name)
		if f.Head.Hash != first.Head.Hash {
			return nil, failure.New(failure.Conflict, what, "they are of different plans ("+difference(f.Head.Plan, first.Head.Plan)+")", "merge the shards of one plan")
		}
		if f.Head.Version != first.Head.Version {
			return nil, failure.New(failure.Conflict, what, fmt.Sprintf("their figures are of versions %s and %s", f.Head.Version, first.Head.Version), "run all shards with one version")
		}
		for _, p := range f.Points {
			if old, ok := points[p.Index]; ok && !equal(old, p) {
				return nil, failure.New(failure.Untrusted, fmt.Sprintf("merge point %d", p.Index), fmt.Sprintf("%s and %s differ, though both are of one plan and version", from[p.Index].Name, f.Name), "run both again")
			}
			points[p.Index], from[p.Index] = p, f
		}
	}
	for _, p := range points {
		out.Points = append(out.Points, p)
	}
	slices.SortFunc(out.Points, byIndex)
	return out, nil
}

func equal(a, b Point) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// Missing lists the points that a file does not have.
func (f *File) Missing() (missing []int) {
	k := 0
	for i := range f.Head.Points {
		if k < len(f.Points) && f.Points[k].Index == i {
			k++
		} else {
			missing = append(missing, i)
		}
	}
	return missing
}

// Ranges writes numbers as "0-3, 7"; no more than so many parts.
func Ranges(numbers []int, most int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		k := i
		for k+1 < len(numbers) && numbers[k+1] == numbers[k]+1 {
			k++
		}
		s := strconv.Itoa(numbers[i])
		if k > i {
			s += "-" + strconv.Itoa(numbers[k])
		}
		if len(parts) == most {
			return strings.Join(parts, ", ") + ", …"
		}
		parts = append(parts, s)
		i = k + 1
	}
	return strings.Join(parts, ", ")
}

// Lacking says which shards the missing points belong to, as --shard takes them,
// if the manifests beside the files agree on how many shards there are.
func Lacking(files []*File, missing []int) (shards []string) {
	n := 0
	for _, f := range files {
		m, err := ReadManifest(filepath.Dir(f.Name))
		if err != nil || m.Shards < 2 || n != 0 && n != m.Shards {
			return nil
		}
		n = m.Shards
	}
	var of []int
	for _, i := range missing {
		if k := i % n; !slices.Contains(of, k) {
			of = append(of, k)
		}
	}
	slices.Sort(of)
	for _, k := range of {
		shards = append(shards, Shard{Index: k, Count: n}.String())
	}
	return shards
}
