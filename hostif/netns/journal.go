package netns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/meshnic/meshnic/internal/failure"
)

const journalFile = "journal.jsonl"

// Journal is the record of what one lab makes on the host. Each step is on
// disk before it is made. It may be used from several goroutines.
type Journal struct {
	lab string
	dir string

	mu      sync.Mutex
	f       *os.File
	observe func(point string)
}

// Create starts the journal of a new lab owned by this process. If the lab
// exists already, in the journal's directory or by the names of its
// namespaces, the error is a failure.Conflict that names the owner.
//
// If observe is not nil it is called around each step, with a word for where
// that is: progress for people, and a place to die for tests.
func Create(lab string, observe func(point string)) (*Journal, error) {
	if err := CheckLab(lab); err != nil {
		return nil, err
	}
	unlock, run, err := lockRun(true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := conflict(run, lab); err != nil {
		return nil, err
	}
	j := &Journal{lab: lab, dir: filepath.Join(run, lab), observe: observe}
	if err := claimNetnsDir(run); err != nil {
		return nil, err
	}
	j.at("claimed")
	if err := os.Mkdir(j.dir, 0o755); err != nil {
		return nil, fmt.Errorf("netns: %w", err)
	}
	j.at("dir made")
	j.f, err = os.OpenFile(filepath.Join(j.dir, journalFile), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		os.Remove(j.dir)
		return nil, fmt.Errorf("netns: %w", err)
	}
	j.at("journal made")
	owner, err := ownerEntry()
	if err == nil {
		err = j.Record(owner)
	}
	if err != nil {
		j.f.Close()
		os.RemoveAll(j.dir)
		return nil, err
	}
	return j, nil
}

// conflict returns a failure.Conflict if anything of the lab exists.
func conflict(run, lab string) error {
	_, err := os.Lstat(filepath.Join(run, lab))
	if errors.Is(err, fs.ErrNotExist) {
		names, err := namespacesOf(lab)
		if err != nil || len(names) == 0 {
			return err
		}
	}
	st, err := load(run, lab)
	if err != nil {
		return err
	}
	why, next := "it exists, left behind by a process that is gone", "meshnic lab down "+lab
	if st.Alive {
		why = fmt.Sprintf("it is in use by process %d (%s)", st.Owner.Pid, commandOf(st.Owner.Pid))
		next = fmt.Sprintf("choose another name, or end process %d", st.Owner.Pid)
	}
	return failure.New(failure.Conflict, "make lab "+quote(lab), why, next)
}

// Lab returns the lab's name.
func (j *Journal) Lab() string { return j.lab }

// Dir returns the lab's directory, which Undo removes with all it holds.
func (j *Journal) Dir() string { return j.dir }

// Record writes e and returns once it is on disk. The step it announces may be
// made after that and not before.
func (j *Journal) Record(e Entry) error {
	line, err := e.appendLine(nil)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f == nil {
		return fmt.Errorf("netns: journal of lab %s: %w", j.lab, fs.ErrClosed)
	}
	if _, err := j.f.Write(line); err != nil {
		return fmt.Errorf("netns: journal of lab %s: %w", j.lab, err)
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("netns: journal of lab %s: %w", j.lab, err)
	}
	return nil
}

// Step records e and then calls do.
func (j *Journal) Step(e Entry, do func() error) error {
	if err := j.Record(e); err != nil {
		return err
	}
	j.at("recorded")
	if err := do(); err != nil {
		return err
	}
	j.at("done")
	return nil
}

// Setting records a host setting about to be changed. Undo will hand change,
// as JSON, to the UndoFunc registered as handler. A setting inside one of the
// lab's own namespaces, ns (its name or file; empty: another), goes with the
// namespace and is not undone.
func (j *Journal) Setting(handler, ns string, change any) error {
	b, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("netns: journal of lab %s: %w", j.lab, err)
	}
	return j.Record(Entry{Kind: KindSetting, Handler: handler, NS: ns, Change: b})
}

// Close closes the file and leaves it for Undo.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f == nil {
		return nil
	}
	err := j.f.Close()
	j.f = nil
	return err
}

func (j *Journal) at(point string) {
	if j.observe != nil {
		j.observe(point)
	}
}

// State is what a lab's journal says.
type State struct {
	Lab     string
	Exists  bool  // it has a directory; it may have namespaces without
	Owner   Entry // Pid is 0 if the journal is lost
	Alive   bool  // the owner is running, or cannot be told to be gone
	Entries []Entry
	Bad     int // lines that could not be read
}

// Load reads a lab's journal. A lab whose journal is lost, or that does not
// exist, has no entries.
func Load(lab string) (*State, error) {
	if err := CheckLab(lab); err != nil {
		return nil, err
	}
	run, err := RunDir()
	if err != nil {
		return nil, err
	}
	return load(run, lab)
}

func load(run, lab string) (*State, error) {
	st := &State{Lab: lab}
	if _, err := os.Lstat(filepath.Join(run, lab)); err == nil {
		st.Exists = true
	}
	b, err := os.ReadFile(filepath.Join(run, lab, journalFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return st, nil
	case err != nil:
		return nil, fmt.Errorf("netns: %w", err)
	}
	st.Entries, st.Bad = DecodeJournal(b)
	if len(st.Entries) > 0 && st.Entries[0].Kind == KindOwner {
		st.Owner = st.Entries[0]
		st.Alive = ownerAlive(st.Owner)
	}
	return st, nil
}

// RunDir returns the directory that holds a directory for each lab:
// /run/meshnic where that can be written, else meshnic below $XDG_RUNTIME_DIR
// or, for this user alone, below the directory for temporary files. It need not
// exist.
func RunDir() (string, error) {
	if writable("/run") {
		return "/run/meshnic", nil
	}
	return userRunDir()
}

func userRunDir() (string, error) {
	if x := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(x) && writable(x) {
		if fi, err := os.Stat(x); err == nil && privateDir(fi) {
			return filepath.Join(x, "meshnic"), nil
		}
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("meshnic-%d", os.Getuid()))
	if fi, err := os.Lstat(dir); err == nil && !privateDir(fi) {
		return "", failure.New(failure.Conflict, "use "+dir+" for journals",
			"it is not a directory that only this user can write", "set XDG_RUNTIME_DIR to a directory of yours")
	}
	return dir, nil
}

// Labs returns the names of the labs that have a directory or a namespace,
// sorted.
func Labs() ([]string, error) {
	run, err := RunDir()
	if err != nil {
		return nil, err
	}
	return labs(run)
}

func labs(run string) ([]string, error) {
	seen := map[string]bool{}
	dirs, err := os.ReadDir(run)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("netns: %w", err)
	}
	for _, d := range dirs {
		if d.IsDir() && labName.MatchString(d.Name()) {
			seen[d.Name()] = true
		}
	}
	names, err := os.ReadDir(Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("netns: %w", err)
	}
	for _, n := range names {
		if lab, _, ok := Split(n.Name()); ok {
			seen[lab] = true
		}
	}
	return sortedKeys(seen), nil
}

// namespacesOf returns the names of the namespaces of one lab, sorted.
func namespacesOf(lab string) ([]string, error) {
	files, err := os.ReadDir(Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("netns: %w", err)
	}
	var names []string
	for _, f := range files {
		if l, _, ok := Split(f.Name()); ok && l == lab {
			names = append(names, f.Name())
		}
	}
	return names, nil
}

// Namespaces returns the names of a lab's namespaces, sorted.
func Namespaces(lab string) ([]string, error) { return namespacesOf(lab) }
