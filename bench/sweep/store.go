package sweep

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
	"syscall"

	"github.com/meshnic/meshnic/internal/failure"
)

// Store is a folder that collects points. Each is appended to its points file
// the moment it is there, so that whatever ends a run loses only what was under
// way.
type Store struct {
	Dir     string
	Resumed int // points that were there
	Broken  int // bytes of a half-written line that was taken off

	all  File
	have []bool
	file *os.File
}

const otherFolder = "name another folder with --dir"

// OpenStore opens a folder for a plan's points, and makes it if there is none.
// What an earlier run of the same plan left is taken over.
func OpenStore(dir string, p *Plan, version string) (*Store, error) {
	s := &Store{Dir: dir, all: File{Head: p.head(version)}, have: make([]bool, p.Size())}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == PointsFile }) {
		return nil, failure.New(failure.Conflict, "use folder "+dir, "it is not empty and holds no sweep", otherFolder)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, failure.Wrap(failure.Usage, err, "make the sweep's folder", "name a folder that can be written with --dir")
	}
	s.file, err = os.OpenFile(filepath.Join(dir, PointsFile), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, failure.Wrap(failure.Usage, err, "open the sweep's points", otherFolder)
	}
	if err = s.takeOver(p); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

// takeOver reads what is there, or begins the file.
func (s *Store) takeOver(p *Plan) error {
	// File systems without locks go on without.
	if err := syscall.Flock(int(s.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return failure.New(failure.Conflict, "use folder "+s.Dir, "another sweep is writing to it", "wait for it, or give each its --shard and --dir")
	}
	text, err := io.ReadAll(s.file)
	if err != nil {
		return failure.Wrap(failure.BadFile, err, "read "+s.file.Name(), otherFolder)
	}
	if !bytes.Contains(text, []byte("\n")) { // new, or killed inside its first line
		s.Broken = len(text)
		if err := s.file.Truncate(0); err != nil {
			return err
		}
		return s.line(s.all.Head)
	}
	f := File{Name: s.file.Name()}
	if n, err := f.read(text); err != nil {
		return failure.Wrap(failure.BadFile, err, fmt.Sprintf("%s:%d:1", f.Name, n), "remove the file, or "+otherFolder)
	}
	if f.Head.Hash != s.all.Head.Hash {
		return failure.New(failure.Conflict, "use folder "+s.Dir, "it holds the points of another plan ("+difference(f.Head.Plan, p)+")", otherFolder)
	}
	if f.Head.Version != s.all.Head.Version {
		return failure.New(failure.Conflict, "use folder "+s.Dir, fmt.Sprintf("its points were made by version %s, this is %s", f.Head.Version, s.all.Head.Version), otherFolder)
	}
	s.Broken, s.Resumed, s.all.Points = f.Broken, len(f.Points), f.Points
	for _, p := range f.Points {
		s.have[p.Index] = true
	}
	return s.file.Truncate(f.size)
}

// difference names the parts in which two plans differ: another vary and another
// traffic.
func difference(a, b *Plan) string {
	var parts []string
	for _, part := range []struct {
		name string
		a, b any
	}{{"pipeline", a.Pipeline, b.Pipeline}, {"vary", a.Vary, b.Vary}, {"traffic", a.Traffic, b.Traffic}} {
		x, _ := json.Marshal(part.a)
		y, _ := json.Marshal(part.b)
		if !bytes.Equal(x, y) {
			parts = append(parts, part.name)
		}
	}
	return "another " + strings.Join(parts, " and another ")
}

// line appends one line, in one write.
func (s *Store) line(v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = s.file.Write(append(b, '\n'))
	}
	return failure.Wrap(failure.Unexpected, err, "write "+s.file.Name(), "make room; the same command goes on from here")
}

// Has reports whether a point is there.
func (s *Store) Has(i int) bool { return s.have[i] }

// Add adds a point.
func (s *Store) Add(p Point) error {
	if err := s.line(p); err != nil {
		return err
	}
	s.have[p.Index] = true
	s.all.Points = append(s.all.Points, p)
	return nil
}

// Points returns all points, in order.
func (s *Store) Points() []Point {
	slices.SortFunc(s.all.Points, byIndex)
	return s.all.Points
}

// Missing lists the plan's points that are not there.
func (s *Store) Missing() []int { s.Points(); return s.all.Missing() }

// Finish puts the file into order, so that it does not depend on how the points
// came about.
func (s *Store) Finish() error { return s.all.Save(s.Dir) }

// Close closes the file; Finish may have been called or not.
func (s *Store) Close() error { return s.file.Close() }
