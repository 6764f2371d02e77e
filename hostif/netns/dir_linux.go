package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

// The first "ip netns add" of a host mounts Dir on itself, with all that is
// mounted in it, and makes it shared, so that namespaces come and go in all
// mount namespaces at once (iproute2, ip/ipnetns.c, netns_add). What was in it
// before is mounted twice then, and only the upper mount has a path. So New
// makes that mount before there is anything in Dir, and Delete removes what
// somebody else has covered.

// lockDir makes Dir if mode is not 0, and takes the lock that iproute2 takes for
// the same purpose, one on the directory itself. dir is Dir without links:
// some have it lead to the namespaces of a container runtime.
func lockDir(mode fs.FileMode) (unlock func(), dir string, err error) {
	dir, err = filepath.EvalSymlinks(Dir)
	if err != nil {
		dir = Dir
	}
	unlock, err = flock(dir, mode)
	return unlock, dir, err
}

// bind makes dir a mount point of its own unless it is one. It leaves alone a
// directory that has something in it: others could not remove what they have
// mounted there. The caller holds the lock.
func bind(dir string) error {
	if mountPoint(dir) || !empty(dir) {
		return nil
	}
	err := unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, "")
	if err == nil {
		err = unix.Mount("", dir, "", unix.MS_SHARED|unix.MS_REC, "")
	}
	return privilege(err, "mount "+dir+" on itself")
}

// unbind takes away what is mounted on Dir, and then Dir if remove is set, as
// long as there is nothing in it.
func unbind(remove bool) {
	unlock, dir, err := lockDir(0)
	if err != nil {
		return
	}
	defer unlock()
	for mountPoint(dir) && empty(dir) {
		if unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) != nil {
			break
		}
	}
	if remove {
		os.Remove(Dir)
	}
}

// mountPoint reports whether something is mounted on dir. Where the kernel
// can't tell (before Linux 5.8) it says yes, and New leaves Dir as it is.
func mountPoint(dir string) bool {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, 0, &st); err != nil {
		return !errors.Is(err, unix.ENOENT)
	}
	return st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// removeFile removes the file that a namespace was mounted on.
func removeFile(path string) error {
	err := os.Remove(path)
	if errors.Is(err, unix.EBUSY) {
		err = failure.Wrap(failure.Conflict, removeCovered(path), "remove "+path+", which is mounted on twice",
			"umount -l "+Dir+", then meshnic clean")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return privilege(err, "remove "+path)
}

// removeCovered removes a file on which something is mounted out of sight,
// below what is mounted on Dir. It does so in a mount namespace of its own in
// which Dir is uncovered; the kernel then takes the mounts on that file off in
// all others (mount_namespaces(7), since Linux 3.18). No other mount changes.
func removeCovered(path string) error {
	return onLostThread(func() error {
		dir, err := os.Open(Dir)
		if err != nil {
			return err
		}
		defer dir.Close()
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("make its mounts private: %w", err)
		}
		for _, p := range []string{Dir, path} {
			for unix.Unmount(p, unix.MNT_DETACH) == nil {
			}
		}
		return unix.Unlinkat(int(dir.Fd()), filepath.Base(path), 0)
	})
}

// onLostThread is onThread for what makes a thread unfit for others: it ends
// after the call. It is not the process's first thread, which would not, and
// by which /proc/self goes.
func onLostThread(fn func() error) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			errc <- onLostThread(fn)
			return
		}
		errc <- fn()
	}()
	return <-errc
}
