package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/internal/failure"
)

// Load reads a run folder: curl.json, link.json, hop.json and bookinfo*.json,
// as far as they are there. A malformed file, or a folder with none of them,
// is a failure.BadFile.
func Load(dir string) (Run, error) {
	run := Run{Name: filepath.Base(filepath.Clean(dir))}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return run, failure.Wrap(failure.BadFile, err, "read run folder "+dir, "name the folder that meshnic bench printed last")
	}
	for _, e := range entries {
		if !isDocument(e.Name()) {
			continue
		}
		doc, err := ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return run, err
		}
		run.Documents = append(run.Documents, doc)
	}
	if len(run.Documents) == 0 {
		return run, failure.New(failure.BadFile, "read run folder "+dir,
			"it holds none of curl.json, link.json, hop.json, bookinfo*.json", "name the folder that meshnic bench printed last")
	}
	run.Documents = run.order()
	return run, nil
}

// isDocument reports whether a file of a run folder holds a bench.Document.
func isDocument(name string) bool {
	bookinfo, _ := filepath.Match("bookinfo*.json", name)
	return bookinfo || slices.Contains([]string{"curl.json", "link.json", "hop.json"}, name)
}

// ReadFile reads one document, "-" meaning standard input. What is wrong with
// it is a failure.BadFile with line and column.
func ReadFile(path string) (bench.Document, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(os.Stdin)
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		next := "name a document of a run folder, such as runs/20260102-030405/hop.json"
		if errors.Is(err, fs.ErrPermission) {
			next = "make it readable for this user"
		}
		return bench.Document{}, failure.Wrap(failure.BadFile, err, "read "+path, next)
	}
	return Decode(path, data)
}

// Decode reads one document; name is what errors call it. Fields it does not
// know are skipped: they are allowed to be added within a schema.
func Decode(name string, data []byte) (bench.Document, error) {
	var doc bench.Document
	if err := json.Unmarshal(data, &doc); err != nil {
		return doc, failure.New(failure.BadFile, "read "+name, position(data, err)+": "+err.Error(), "run meshnic bench again: it writes a document an experiment into its run folder")
	}
	if why := check(doc); why != "" {
		return doc, failure.New(failure.BadFile, "read "+name, why, "write it again with this version of meshnic bench")
	}
	return doc, nil
}

// check returns what is wrong with a document that is valid JSON.
func check(doc bench.Document) string {
	if doc.Schema != bench.Schema {
		return fmt.Sprintf("schema is %q, allowed is %q", doc.Schema, bench.Schema)
	}
	if !slices.Contains(experiments(), doc.Experiment) {
		return fmt.Sprintf("experiment is %q, allowed are %s", doc.Experiment, strings.Join(experiments(), ", "))
	}
	if doc.Experiment == "bookinfo" && !slices.Contains(works(), doc.Work) {
		return fmt.Sprintf("work is %q, allowed are %s", doc.Work, strings.Join(works(), ", "))
	}
	for i, s := range doc.Systems {
		if why := checkSystem(s); why != "" {
			return fmt.Sprintf("systems[%d] (%q): %s", i, s.Name, why)
		}
	}
	return ""
}

func checkSystem(s bench.System) string {
	if s.Name == "" {
		return "name is empty"
	}
	if s.Connections < 0 || s.Hops < 0 {
		return "connections and hops must not be negative"
	}
	if s.Absent == nil && s.WallUS == nil {
		return "has neither wall_us nor a reason in absent"
	}
	if s.EmuUS != nil && s.WallUS == nil {
		return "has emu_us without the wall_us it is a part of"
	}
	if s.ProjectedUS != nil && (s.WallUS == nil || s.ModelNS == nil) {
		return "has projected_us without the wall_us and model_ns it is derived from"
	}
	if q := s.WallUS; q != nil && q.Max > largest {
		return fmt.Sprintf("wall_us max is %g, allowed is at most %g", q.Max, largest)
	}
	if q := s.WallUS; q != nil && !(0 <= q.P50 && q.P50 <= q.P90 && q.P90 <= q.P99 && q.P99 <= q.P999 && q.P999 <= q.Max) {
		return "wall_us must not be negative and must rise from p50 to max"
	}
	last := bench.Point{}
	for j, p := range s.CDF {
		if p.Share < last.Share || p.Share > 1 || p.WallUS < last.WallUS {
			return fmt.Sprintf("cdf[%d] is out of order: wall_us and share rise, share ends at 1", j)
		}
		last = p
	}
	return ""
}

// position is the line and column of a JSON error, "line 3, column 14".
func position(data []byte, err error) string {
	offset := int64(len(data))
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	}
	before := data[:min(max(offset, 0), int64(len(data)))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Sprintf("line %d, column %d", line, max(column, 1))
}
