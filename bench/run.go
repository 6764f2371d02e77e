package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// Options say how an experiment is run.
type Options struct {
	Exe          string   // our own binary: it is the NIC, the sidecar, the services and the load generator
	Envoy        string   // path of Envoy; empty: the checkout's environment, then PATH
	Dir          string   // the run folder; it exists
	Command      []string // the command line, for the manifest
	Version      string
	Seed         uint64
	Quick        bool          // the same work, shorter and with fewer repeats: for CI
	Repeats      int           // of every cell
	Connections  []int         // nil: the experiment's own
	Systems      []string      // nil: all
	Rate         float64       // requests a second in an open loop; 0: closed loop
	Duration     time.Duration // of one repeat; 0: the experiment's own
	Work         string        // bookinfo: "polyglot", "native", "paper"
	AccessLog    bool          // hop: every proxy writes a line a request
	Fault        string        // on the NIC's ports, as hostif/fault parses it
	Placement    string        // "one": everything on one core; "any": the kernel's choice; "": the experiment's own
	Unprivileged bool          // inside a user namespace: AF_PACKET only

	Log      func(format string, args ...any) // one line for people
	Progress func(experiment string, done, total int)
}

// Run is one run: its folder, its manifest and the programs it found.
type Run struct {
	Options
	Manifest Manifest

	callTimeout time.Duration     // of Bookinfo's services; 0 is the originals'
	saturated   map[string]string // where an open loop measured its generator, and how that shows
}

// NewRun prepares a run in opt.Dir.
func NewRun(ctx context.Context, opt Options) (*Run, error) {
	if opt.Repeats < 1 {
		return nil, failure.Usagef("bench: %d repeats, want at least 1", opt.Repeats)
	}
	if opt.Log == nil {
		opt.Log = func(string, ...any) {}
	}
	if opt.Progress == nil {
		opt.Progress = func(string, int, int) {}
	}
	r := &Run{Options: opt, Manifest: newManifest(opt, time.Now()), saturated: map[string]string{}}
	r.Manifest.Binaries = findPrograms(ctx, opt)
	r.Manifest.Binaries["meshnic"] = Binary{Path: filepath.Base(opt.Exe), Version: opt.Version, SHA256: hashFile(opt.Exe)}
	if opt.Unprivileged {
		r.note("without root: inside a user and network namespace; the NIC's ports are AF_PACKET (or TAP, where an experiment names it); AF_XDP is absent")
	}
	return r, nil
}

func (r *Run) note(text string) {
	if !slices.Contains(r.Manifest.Notes, text) {
		r.Manifest.Notes = append(r.Manifest.Notes, text)
	}
}

// program returns a program's path, or why it is absent.
func (r *Run) program(name string) (path, absent string) {
	if b, ok := r.Manifest.Binaries[name]; ok {
		return b.Path, ""
	}
	why, next := absentReason(name, r.Envoy)
	return "", why + "; " + next
}

// file writes a configuration file into the run folder, enters it into the
// manifest, and returns its absolute path.
func (r *Run) file(name string, content []byte) (string, error) {
	path := filepath.Join(r.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	sum := sha256.Sum256(content)
	r.Manifest.Files[name] = hex.EncodeToString(sum[:])
	return filepath.Abs(path)
}

// document puts an experiment's rows into a Document and writes it into the run
// folder as name.json.
func (r *Run) document(name string, d Document) (Document, error) {
	d.Schema = Schema
	d.Manifest = r.Manifest
	d.Warnings = append(d.Warnings, distrust(d, r.Quick)...)
	for _, where := range slices.Sorted(maps.Keys(r.saturated)) {
		d.Warnings = append(d.Warnings, "the generator was the limit at "+where+": "+r.saturated[where])
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return d, fmt.Errorf("bench: %w", err)
	}
	if err := os.WriteFile(filepath.Join(r.Dir, name+".json"), append(b, '\n'), 0o644); err != nil {
		return d, fmt.Errorf("bench: %w", err)
	}
	return d, nil
}

// wanted reports whether the user asked for a system.
func (r *Run) wanted(system string) bool {
	return len(r.Systems) == 0 || slices.Contains(r.Systems, system)
}

// connections returns the user's connection counts, or the experiment's.
func (r *Run) connections(own ...int) []int {
	if len(r.Connections) > 0 {
		return r.Connections
	}
	return own
}

// placements are the values of Options.Placement.
var placements = []string{"one", "any"}

// CheckPlacement returns a usage failure if p is no placement.
func CheckPlacement(p string) error {
	if p == "" || slices.Contains(placements, p) {
		return nil
	}
	return failure.Usagef("placement %q: want one (everything on one core) or any (the kernel's choice)", p)
}

// cores returns where everything of an experiment runs, nil for anywhere, and
// enters it into the manifest. A wake-up across cores costs more than a hop, so
// that where the kernel puts who decides the figures unless it is fixed.
func (r *Run) cores(experiment, own string) []int {
	if r.Placement != "" {
		own = r.Placement
	}
	if own == "any" {
		r.Manifest.Placement[experiment+": everything"] = "any core"
		return nil
	}
	core := []int{lastCore()} // the host's own work uses the first one most
	r.Manifest.Placement[experiment+": everything"] = fmt.Sprint(core[0])
	return core
}

// window returns how long one repeat of a cell lasts: the user's wish, or the
// experiment's own, a third of it when quick.
func (r *Run) window(own time.Duration) time.Duration {
	switch {
	case r.Duration > 0:
		return r.Duration
	case r.Quick:
		return max(own/3, 100*time.Millisecond)
	}
	return own
}
