package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockRun takes the lock under which labs appear and disappear, a lock on the
// directory of all labs. The directory itself may be removed by the last lab
// to go, so after waiting it must be seen to be the same.
func lockRun(make bool) (unlock func(), run string, err error) {
	run, err = RunDir()
	if err != nil {
		return nil, "", err
	}
	for {
		if make {
			if err := os.MkdirAll(run, runMode(run)); err != nil {
				return nil, "", privilege(err, "make "+run)
			}
		}
		fd, err := unix.Open(run, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if errors.Is(err, unix.ENOENT) {
			if make {
				continue
			}
			return func() {}, run, nil // no lab, nothing to lock
		}
		if err != nil {
			return nil, "", privilege(fmt.Errorf("%s: %w", run, err), "lock the labs")
		}
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Flock(fd, unix.LOCK_EX)
		}
		if err != nil {
			unix.Close(fd)
			return nil, "", privilege(fmt.Errorf("%s: %w", run, err), "lock the labs")
		}
		var held, now unix.Stat_t
		if unix.Fstat(fd, &held) == nil && unix.Lstat(run, &now) == nil && held.Ino == now.Ino && held.Dev == now.Dev {
			return func() { unix.Close(fd) }, run, nil
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

// netnsMade marks, in the directory of all labs, that /run/netns was not there
// before the first lab: the last one removes it.
const netnsMade = ".made-netns-dir"

// claimNetnsDir makes the directory of named namespaces if there is none. The
// caller holds the lock.
func claimNetnsDir(run string) error {
	if _, err := os.Lstat(Dir); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.WriteFile(filepath.Join(run, netnsMade), nil, 0o644); err != nil {
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
	mark := filepath.Join(run, netnsMade)
	if _, err := os.Lstat(mark); err == nil {
		os.Remove(Dir) // fails where somebody else has put something in it
		os.Remove(mark)
	}
	os.Remove(run)
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }

func privateDir(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && fi.IsDir() && int(st.Uid) == os.Getuid() && fi.Mode().Perm()&0o022 == 0
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
