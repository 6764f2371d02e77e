package netns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

// UndoOptions say how far Undo may go.
type UndoOptions struct {
	// Force takes the lab away from a live owner, and drops settings that
	// cannot be restored instead of keeping the journal for another try.
	Force bool
	// Handlers restore the settings, by the name they were journalled under.
	Handlers map[string]UndoFunc
	// Observe, if not nil, is called before each step is undone.
	Observe func(point string)
}

// Undo removes a lab: it ends the processes in the lab's namespaces and those
// journalled, undoes the journal from its end to its beginning, removes
// namespaces of the lab that the journal does not know, and then the journal.
// It may be repeated, and may take over from one that was killed. It reports
// whether there was anything of the lab.
//
// A lab whose owner is another live process is left alone unless forced: the
// error is a failure.Conflict that names the process.
func Undo(lab string, opt UndoOptions) (found bool, err error) {
	if err := CheckLab(lab); err != nil {
		return false, err
	}
	unlock, run, err := lockRun(false)
	if err != nil {
		return false, err
	}
	defer unlock()
	dir := filepath.Join(run, lab)
	names, err := namespacesOf(lab)
	if err != nil {
		return false, err
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) && len(names) == 0 {
		return false, nil
	}
	st, err := load(run, lab)
	if err != nil {
		return true, err
	}
	if st.Alive && !isSelf(st.Owner) && !opt.Force {
		return true, failure.New(failure.Conflict, "remove lab "+quote(lab),
			fmt.Sprintf("it is in use by process %d (%s)", st.Owner.Pid, commandOf(st.Owner.Pid)),
			fmt.Sprintf("end process %d, or force it", st.Owner.Pid))
	}
	if len(names) > 0 && !Privileged() {
		return true, privilege(unix.EPERM, "remove lab "+quote(lab))
	}
	u := undoer{lab: lab, opt: opt, samePids: st.Owner.Pid == 0 || st.Owner.PidNS == pidNamespace() && st.Owner.Boot == bootID()}
	u.killInside()
	for _, e := range slices.Backward(st.Entries) {
		if opt.Observe != nil {
			opt.Observe("undo " + string(e.Kind))
		}
		u.undo(e)
	}
	u.leftovers()
	if opt.Observe != nil {
		opt.Observe("undone")
	}
	if err := errors.Join(u.errs...); err != nil && !opt.Force {
		return true, failure.Wrap(failure.KindOf(u.errs[0]), err, "remove lab "+quote(lab),
			"remove the cause and repeat the command, or force it; the journal is kept")
	}
	if err := os.RemoveAll(dir); err != nil {
		return true, privilege(err, "remove "+dir)
	}
	leaveRun(run)
	return true, nil
}

type undoer struct {
	lab      string
	opt      UndoOptions
	samePids bool // the journal's pids mean the processes we see
	errs     []error
}

func (u *undoer) failed(err error) {
	if err != nil {
		u.errs = append(u.errs, err)
	}
}

// undo takes back one step, whether or not it was made.
func (u *undoer) undo(e Entry) {
	switch e.Kind {
	case KindProcess:
		if u.samePids {
			u.failed(kill(e.Pid, e.Start))
		}
	case KindNetns:
		if lab, _, ok := Split(e.Name); ok && lab == u.lab {
			u.failed(Delete(e.Name))
		}
	case KindLink:
		u.failed(deleteLink(e.Name))
	case KindFile, KindDir:
		if err := os.Remove(e.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			u.failed(fmt.Errorf("netns: %w", err))
		}
	case KindSysctl:
		if err := writeSysctl(e.Path, e.Old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			u.failed(fmt.Errorf("netns: restore sysctl %s: %w", e.Path, err))
		}
	case KindSetting:
		u.setting(e)
	}
}

func (u *undoer) setting(e Entry) {
	if lab, _, ok := Split(filepath.Base(e.NS)); ok && lab == u.lab {
		return
	}
	undo := u.opt.Handlers[e.Handler]
	if undo == nil {
		u.failed(fmt.Errorf("netns: nothing here can restore a setting of kind %q: %s", e.Handler, e.Change))
		return
	}
	err := undo(json.RawMessage(e.Change))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, hostif.ErrNoInterface) {
		u.failed(fmt.Errorf("netns: restore %s: %w", e.Handler, err))
	}
}

// killRounds bounds how often the namespaces are searched for processes: one
// that is being killed may fork another.
const killRounds = 20

// killInside ends every process in the lab's namespaces.
func (u *undoer) killInside() {
	names, err := namespacesOf(u.lab)
	u.failed(err)
	var procs []Proc
	for range killRounds {
		if procs, err = ProcessesIn(names); err != nil || len(procs) == 0 {
			u.failed(err)
			return
		}
		for _, p := range procs {
			if err := kill(p.Pid, p.Start); err != nil {
				u.failed(err)
				return
			}
		}
	}
	u.failed(fmt.Errorf("netns: processes in lab %s multiply faster than they can be ended, %d (%s) among them",
		u.lab, procs[0].Pid, procs[0].Command))
}

// leftovers removes namespaces that the journal does not tell of.
func (u *undoer) leftovers() {
	names, err := namespacesOf(u.lab)
	u.failed(err)
	for _, n := range names {
		u.failed(Delete(n))
	}
}

func deleteLink(name string) error {
	l, err := netlink.LinkByName(name)
	var gone netlink.LinkNotFoundError
	if errors.As(err, &gone) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(l)
	}
	return privilege(err, "remove interface "+name)
}

// sysctlPath turns net.ipv4.ip_forward or net/ipv4/ip_forward into its file.
func sysctlPath(key string) string {
	if !strings.Contains(key, "/") {
		key = strings.ReplaceAll(key, ".", "/")
	}
	return filepath.Join("/proc/sys", filepath.Clean("/"+key))
}

func writeSysctl(key, value string) error {
	return os.WriteFile(sysctlPath(key), []byte(value), 0)
}

// Tidy removes the directories that labs share if no lab is left, as after a
// process was killed before its lab had a name.
func Tidy() error {
	unlock, run, err := lockRun(false)
	if err != nil {
		return err
	}
	defer unlock()
	leaveRun(run)
	return nil
}
