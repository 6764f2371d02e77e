package sweep

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/meshnic/meshnic/internal/failure"
)

// PointsFile is the file of a folder that holds its points: a header and a line
// of JSON for each.
const PointsFile = "points.jsonl"

// Head is the first line of a points file.
type Head struct {
	Schema  string `json:"schema"`
	Hash    string `json:"plan_sha256"`
	Version string `json:"version"` // of the program whose models made the figures
	Points  int    `json:"points"`  // of the whole plan
	Plan    *Plan  `json:"plan"`
}

func (p *Plan) head(version string) Head {
	return Head{Schema, p.Hash(), version, p.Size(), p}
}

func (h *Head) check() error {
	switch {
	case h.Schema != Schema:
		return fmt.Errorf("schema is %q, want %q", h.Schema, Schema)
	case h.Plan == nil || h.Plan.Pipeline == nil || h.Plan.Hash() != h.Hash || h.Plan.Size() != h.Points:
		return fmt.Errorf("the plan is not the one of plan_sha256")
	}
	return nil
}

// File is a points file as it was read.
type File struct {
	Name   string
	Head   Head
	Points []Point // in order
	Broken int     // bytes of a half-written last line

	size int64 // without them
}

// ReadFile reads a points file, or that of a folder. A last line that is half
// written is left out and counted in Broken; anything else that is wrong is an
// error.
func ReadFile(name string) (*File, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, PointsFile)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, failure.Wrap(failure.BadFile, err, "read a sweep", "name a folder of a sweep, or its "+PointsFile)
	}
	f := &File{Name: name}
	if line, err := f.read(text); err != nil {
		return nil, failure.Wrap(failure.BadFile, err, fmt.Sprintf("%s:%d:1", name, line), "remove the file and run the sweep again")
	}
	slices.SortFunc(f.Points, byIndex)
	return f, nil
}

func byIndex(a, b Point) int { return a.Index - b.Index }

// read returns the line of an error.
func (f *File) read(text []byte) (n int, err error) {
	head, rest, whole := bytes.Cut(text, []byte("\n"))
	if json.Unmarshal(head, &f.Head) != nil || !whole {
		return 1, fmt.Errorf("is no header of a sweep's points")
	}
	if err := f.Head.check(); err != nil {
		return 1, err
	}
	seen := map[int][]byte{}
	for n = 2; len(rest) > 0; n++ {
		var line []byte
		before := rest
		line, rest, whole = bytes.Cut(rest, []byte("\n"))
		var p Point
		err := json.Unmarshal(line, &p)
		switch {
		case len(rest) == 0 && (err != nil || !whole):
			f.Broken, f.size = len(before), int64(len(text)-len(before))
			return 0, nil
		case err != nil:
			return n, fmt.Errorf("is no point: %w", err)
		case p.Error == "" && (p.Area == nil || p.Saturation == nil):
			return n, fmt.Errorf("is no point: neither figures nor an error")
		case p.Index < 0 || p.Index >= f.Head.Points:
			return n, fmt.Errorf("point %d, want 0 to %d", p.Index, f.Head.Points-1)
		case seen[p.Index] != nil && !bytes.Equal(seen[p.Index], line):
			return n, fmt.Errorf("point %d comes twice, and differs", p.Index)
		case seen[p.Index] == nil:
			seen[p.Index] = line
			f.Points = append(f.Points, p)
		}
	}
	f.size = int64(len(text))
	return 0, nil
}

// Save writes the file into a folder, in order, whole or not at all.
func (f *File) Save(dir string) error {
	slices.SortFunc(f.Points, byIndex)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if err := enc.Encode(f.Head); err != nil {
		return err
	}
	for i := range f.Points {
		if err := enc.Encode(&f.Points[i]); err != nil {
			return err
		}
	}
	return replace(filepath.Join(dir, PointsFile), b.Bytes())
}

// replace writes a file whole or not at all.
func replace(name string, content []byte) error {
	next := name + ".new"
	err := os.WriteFile(next, content, 0o644)
	if err == nil {
		err = os.Rename(next, name)
	}
	return failure.Wrap(failure.Unexpected, err, "write "+name, "make room, and type the same again")
}
