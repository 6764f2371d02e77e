package netns

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// StartTime returns when process pid was started, in clock ticks since boot.
// With the pid it identifies a process for good: pids are used again.
func StartTime(pid int) (uint64, error) {
	st, err := readStat(pid)
	return st.start, err
}

type procStat struct {
	comm  string
	state byte
	ppid  int
	start uint64
}

// readStat reads /proc/PID/stat. The command's name is in parentheses and may
// itself hold spaces and parentheses, so fields count from the last one.
func readStat(pid int) (procStat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return procStat{}, fmt.Errorf("netns: /proc/%d/stat: unexpected form", pid)
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 20 {
		return procStat{}, fmt.Errorf("netns: /proc/%d/stat: %d fields after the name, want 20", pid, len(f))
	}
	st := procStat{comm: string(b[open+1 : end]), state: f[0][0]}
	if st.ppid, err = strconv.Atoi(f[1]); err != nil {
		return procStat{}, fmt.Errorf("netns: /proc/%d/stat: %w", pid, err)
	}
	if st.start, err = strconv.ParseUint(f[19], 10, 64); err != nil {
		return procStat{}, fmt.Errorf("netns: /proc/%d/stat: %w", pid, err)
	}
	return st, nil
}

// pids returns the processes of the pid namespace /proc shows.
func pids() ([]int, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("netns: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("netns: %w", err)
	}
	var list []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list, nil
}

func commandOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(b) == 0 {
		st, err := readStat(pid)
		if err != nil {
			return "gone"
		}
		return st.comm
	}
	args := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
	args[0] = filepath.Base(args[0])
	return strings.Join(args, " ")
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

func pidNamespace() uint64 {
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &st) != nil {
		return 0
	}
	return st.Ino
}

func ownerEntry() (Entry, error) {
	pid := os.Getpid()
	start, err := StartTime(pid)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Kind: KindOwner, Pid: pid, Start: start, Boot: bootID(), PidNS: pidNamespace(),
		Text: time.Now().UTC().Format(time.RFC3339)}, nil
}

// ownerAlive reports whether the process that wrote e is running. An owner in
// another pid namespace cannot be looked up, so it counts as running.
func ownerAlive(e Entry) bool {
	if e.Boot != bootID() {
		return false
	}
	if e.PidNS != pidNamespace() {
		return true
	}
	st, err := readStat(e.Pid)
	return err == nil && st.start == e.Start && st.state != 'Z' && st.state != 'X'
}

// isSelf reports whether e was written by this process.
func isSelf(e Entry) bool {
	start, err := StartTime(os.Getpid())
	return err == nil && e.Pid == os.Getpid() && e.Start == start && e.PidNS == pidNamespace()
}

// killTimeout is how long a process may take to die of SIGKILL: it has to
// leave the system call it is in.
const killTimeout = 5 * time.Second

// kill sends SIGKILL to the process that had this pid and start time, if it is
// still there, and returns when it is dead. The pidfd is opened before the
// start time is read, so that the signal cannot reach another process.
func kill(pid int, start uint64) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("netns: process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if st, err := readStat(pid); err != nil || st.start != start {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("netns: kill process %d (%s): %w", pid, commandOf(pid), err)
	}
	deadline := time.Now().Add(killTimeout)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("netns: process %d (%s) has not died of SIGKILL within %v", pid, commandOf(pid), killTimeout)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err == nil && n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("netns: process %d: %w", pid, err)
		}
	}
}

// Proc is a process that lives in a namespace.
type Proc struct {
	Pid     int    `json:"pid"`
	Start   uint64 `json:"start_ticks"`
	NS      string `json:"namespace"`
	Command string `json:"command"`
}

// ProcessesIn returns the processes whose network namespace is one of the
// named ones. This process and those it descends from are left out: a shell in
// a lab may type the command that takes the lab down.
func ProcessesIn(names []string) ([]Proc, error) {
	inode := map[uint64]string{}
	for _, n := range names {
		if id, ok := nsInode(Path(n)); ok {
			inode[id] = n
		}
	}
	if len(inode) == 0 {
		return nil, nil
	}
	list, err := pids()
	if err != nil {
		return nil, err
	}
	spare := ancestors()
	var found []Proc
	for _, pid := range list {
		if spare[pid] {
			continue
		}
		st, err := readStat(pid)
		if err != nil {
			continue // gone since
		}
		id, ok := nsInode(fmt.Sprintf("/proc/%d/ns/net", pid))
		if name := inode[id]; ok && name != "" {
			found = append(found, Proc{pid, st.start, name, commandOf(pid)})
		}
	}
	return found, nil
}

// ancestors returns this process and all it descends from.
func ancestors() map[int]bool {
	set := map[int]bool{1: true}
	for pid := os.Getpid(); pid > 1 && !set[pid]; {
		set[pid] = true
		st, err := readStat(pid)
		if err != nil {
			break
		}
		pid = st.ppid
	}
	return set
}

// nsfsMagic is NSFS_MAGIC of linux/magic.h.
const nsfsMagic = 0x6e736673

// nsInode identifies the namespace that path refers to. It reports false if
// path is no namespace (a file on which none has been mounted yet).
func nsInode(path string) (uint64, bool) {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Statfs(path, &fs) != nil || int64(fs.Type) != nsfsMagic || unix.Stat(path, &st) != nil {
		return 0, false
	}
	return st.Ino, true
}
