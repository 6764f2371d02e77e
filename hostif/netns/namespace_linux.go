package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

// New makes a named namespace with its loopback interface down, as ip netns add
// does: the first one makes Dir a mount point of its own, shared between mount
// namespaces. Unlike ip, New leaves Dir as it is if others have something in it
// already, which would be mounted twice. Undo of the last lab takes mount and
// directory away again if they were not there before the first and nobody has
// put anything in.
func New(name string) error {
	path := Path(name)
	if err := createMountPoint(path); err != nil {
		return err
	}
	err := onThread(func() error {
		return withNS(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() error {
			return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		})
	})
	if err != nil {
		os.Remove(path)
		return privilege(err, "make network namespace "+name)
	}
	return nil
}

func createMountPoint(path string) error {
	unlock, dir, err := lockDir(0o755)
	if err != nil {
		return err
	}
	defer unlock()
	if err := bind(dir); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrExist):
		return failure.Wrap(failure.Conflict, err, "make network namespace", "meshnic clean")
	default:
		return privilege(err, "make "+path)
	}
}

// Delete removes a named namespace: its interfaces, addresses and rules go
// with it as soon as no process is in it. A namespace that is not there, or
// was only half made, is no error; nor is one that ip netns add has mounted a
// second time, by mounting Dir on itself.
func Delete(name string) error {
	path := Path(name)
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err == nil {
			continue // one may be mounted on another
		}
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		return privilege(err, "remove network namespace "+name)
	}
	return removeFile(path)
}

// Do calls fn on a thread inside the named namespace and returns its error.
// Sockets that fn opens stay in the namespace; goroutines that it starts are
// not in it.
func Do(name string, fn func() error) error { return DoPath(Path(name), fn) }

// DoPath is Do for the namespace that path refers to, for example
// /proc/PID/ns/net.
func DoPath(path string, fn func() error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return privilege(fmt.Errorf("%s: %w", path, err), "enter network namespace")
	}
	defer unix.Close(fd)
	return onThread(func() error {
		return withNS(func() error {
			return privilege(unix.Setns(fd, unix.CLONE_NEWNET), "enter network namespace "+path)
		}, fn)
	})
}

// withNS enters a namespace on the calling, locked thread, calls fn and goes
// back. If there is no way back it ends the goroutine, and with it the thread.
func withNS(enter, fn func() error) error {
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("netns: %w", err)
	}
	defer unix.Close(home)
	if err := enter(); err != nil {
		return err
	}
	defer func() {
		if unix.Setns(home, unix.CLONE_NEWNET) != nil {
			runtime.LockOSThread() // one lock too many: the thread ends with its goroutine
		}
	}()
	return fn()
}

// onThread calls fn on an OS thread of its own for the time of the call.
func onThread(fn func() error) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := errors.New("netns: the function ended its goroutine")
		defer func() { errc <- err }()
		err = fn()
	}()
	return <-errc
}

// privilege wraps err as a failure: missing rights and missing kernel features
// apart.
func privilege(err error, what string) error {
	var have *failure.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &have):
		return err
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &failure.Error{Kind: failure.Privilege, What: what,
			Why:  "network namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN",
			Next: "run it as root (sudo); of all verbs only bench can do without, in a user namespace of its own",
			Err:  fmt.Errorf("%w: %w", hostif.ErrPrivilege, err)}
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return &failure.Error{Kind: failure.Unsupported, What: what, Err: fmt.Errorf("%w: %w", hostif.ErrNotSupported, err),
			Next: "use a kernel with network namespaces, veth, bridge and nf_tables; meshnic doctor says what else is missing"}
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENOMEM):
		return &failure.Error{Kind: failure.Unsupported, What: what, Err: err,
			Next: "meshnic clean, or raise user.max_net_namespaces (sysctl) and the number of open files (ulimit -n)"}
	}
	return &failure.Error{Kind: failure.Unexpected, What: what, Err: err}
}

// Probe tries whether this process can make namespaces. It leaves nothing.
func Probe() error {
	return onThread(func() error {
		return withNS(func() error {
			return privilege(unix.Unshare(unix.CLONE_NEWNET), "make a network namespace")
		}, func() error { return nil })
	})
}
