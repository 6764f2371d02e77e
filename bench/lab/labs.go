package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

// Undoers restore host settings by the name they were journalled under.
type Undoers = map[string]netns.UndoFunc

// Info is what is known of a lab on this host.
type Info struct {
	Name       string       `json:"name"`
	Owner      int          `json:"owner_pid"` // 0 if its journal is lost
	Alive      bool         `json:"owner_alive"`
	Made       string       `json:"made,omitempty"` // RFC 3339
	Spec       *Spec        `json:"spec,omitempty"`
	Namespaces []string     `json:"namespaces"`
	Processes  []netns.Proc `json:"processes"`
	Steps      []string     `json:"steps,omitempty"` // as a person would type them
	BadLines   int          `json:"journal_lines_unreadable,omitempty"`
}

// List returns the labs on this host, by name.
func List() ([]Info, error) {
	names, err := netns.Labs()
	if err != nil {
		return nil, err
	}
	var list []Info
	for _, n := range names {
		info, err := Inspect(n)
		if errors.Is(err, ErrNoLab) {
			continue // gone since
		}
		if err != nil {
			return nil, err
		}
		list = append(list, *info)
	}
	return list, nil
}

// ErrNoLab is wrapped by the error for a name that no lab has.
var ErrNoLab = errors.New("no such lab")

// Inspect returns what is known of one lab.
func Inspect(name string) (*Info, error) {
	st, err := netns.Load(name)
	if err != nil {
		return nil, err
	}
	info := &Info{Name: name, Owner: st.Owner.Pid, Alive: st.Alive, Made: st.Owner.Text, BadLines: st.Bad}
	if info.Namespaces, err = netns.Namespaces(name); err != nil {
		return nil, err
	}
	if !st.Exists && len(info.Namespaces) == 0 {
		names, _ := netns.Labs()
		next := "there is no lab on this host; meshnic lab up FILE makes one"
		if len(names) > 0 {
			next = "choose one of " + strings.Join(names, ", ")
		}
		return nil, failure.Wrap(failure.Usage, ErrNoLab, fmt.Sprintf("lab %q", name), next)
	}
	if info.Processes, err = netns.ProcessesIn(info.Namespaces); err != nil {
		return nil, err
	}
	for _, e := range st.Entries {
		if e.Kind == netns.KindSpec {
			info.Spec = new(Spec)
			if json.Unmarshal(e.Change, info.Spec) != nil {
				info.Spec = nil
			}
		}
		if e.Kind != netns.KindOwner && e.Text != "" {
			info.Steps = append(info.Steps, e.Text)
		}
	}
	return info, nil
}

// Down removes a lab by name, whoever made it, and reports whether there was
// one. A lab that a live process uses is a failure.Conflict unless forced.
func Down(name string, force bool, undo Undoers) (found bool, err error) {
	return netns.Undo(name, netns.UndoOptions{Force: force, Handlers: undo})
}

// dying is how long Clean gives an owner that was killed to be gone: leaving
// AF_XDP sockets and namespaces takes the kernel some milliseconds.
const dying = 500 * time.Millisecond

// Clean removes every lab that no live process uses, or, forced, every lab. It
// returns the names of those removed. The labs that it had to leave are in the
// error.
func Clean(force bool, undo Undoers) (removed []string, err error) {
	names, err := netns.Labs()
	if err != nil {
		return nil, err
	}
	var errs []error
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		var used []string
		errs = nil
		for _, n := range names {
			found, err := downUnlessOurs(n, force, undo)
			switch {
			case err != nil:
				errs = append(errs, err)
				if failure.KindOf(err) == failure.Conflict {
					used = append(used, n)
				}
			case found:
				removed = append(removed, n)
			}
		}
		if names = used; len(used) == 0 || len(errs) > len(used) || time.Since(began) > dying {
			break
		}
	}
	if err := netns.Tidy(); err != nil {
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

// downUnlessOurs is Down, but spares the labs of this very process.
func downUnlessOurs(name string, force bool, undo Undoers) (found bool, err error) {
	if st, err := netns.Load(name); err == nil && st.Alive && st.Owner.Pid == os.Getpid() && !force {
		return true, failure.New(failure.Conflict, fmt.Sprintf("remove lab %q", name), "this process is using it", "")
	}
	return Down(name, force, undo)
}
