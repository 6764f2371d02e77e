package netns

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockRun takes the lock under which labs appear and disappear, a lock on the
// directory of all labs.
func lockRun(make bool) (unlock func(), run string, err error) {
	run, err = RunDir()
	if err != nil {
		return nil, "", err
	}
	var mode fs.FileMode
	if make {
		mode = runMode(run)
	}
	unlock, err = flock(run, mode)
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, run, nil // no lab, nothing to lock
	}
	return unlock, run, err
}

// flock takes the lock on a directory, and makes it first if mode is not 0.
// Whoever has the lock may remove the directory, so after waiting it must be
// seen to be the same.
func flock(dir string, mode fs.FileMode) (unlock func(), err error) {
	for {
		if mode != 0 {
			if err := os.MkdirAll(dir, mode); err != nil {
				return nil, privilege(err, "make "+dir)
			}
		}
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if errors.Is(err, unix.ENOENT) && mode != 0 {
			continue
		}
		if err != nil {
			return nil, privilege(err, "lock "+dir)
		}
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Flock(fd, unix.LOCK_EX)
		}
		if err != nil {
			unix.Close(fd)
			return nil, privilege(err, "lock "+dir)
		}
		var held, now unix.Stat_t
		if unix.Fstat(fd, &held) == nil && unix.Lstat(dir, &now) == nil && held.Ino == now.Ino && held.Dev == now.Dev {
			return func() { unix.Close(fd) }, nil
		}
		unix.Close(fd)
	}
}

func runMode(run string) fs.FileMode {
	if run == "/run/meshnic" {
		return 0o755
	}
	return 0o700
}

// Marks, in the directory of all labs, of what was not there before the first
// lab: /run/netns, or something mounted on it. The last lab takes it away.
const (
	netnsMade  = ".made-netns-dir"
	netnsBound = ".made-netns-mount"
)

// claimNetnsDir marks what the labs are about to make of the directory of
// named namespaces. The caller holds the lock.
func claimNetnsDir(run string) error {
	mark := netnsBound
	if _, err := os.Lstat(Dir); errors.Is(err, fs.ErrNotExist) {
		mark = netnsMade
	} else if mountPoint(Dir) || !empty(Dir) {
		return nil
	}
	if err := os.WriteFile(filepath.Join(run, mark), nil, 0o644); err != nil {
		return privilege(err, "make "+run)
	}
	return nil
}

// leaveRun removes what the first lab made if this was the last. The caller
// holds the lock.
func leaveRun(run string) {
	left, err := labs(run)
	if err != nil || len(left) > 0 {
		return
	}
	made, bound := filepath.Join(run, netnsMade), filepath.Join(run, netnsBound)
	if fileExists(made) || fileExists(bound) {
		unbind(fileExists(made))
		os.Remove(made)
		os.Remove(bound)
	}
	os.Remove(run)
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }

func privateDir(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && fi.IsDir() && int(st.Uid) == os.Getuid() && fi.Mode().Perm()&0o022 == 0
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
