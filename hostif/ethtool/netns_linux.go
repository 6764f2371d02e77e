package ethtool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

const selfNS = "/proc/thread-self/ns/net"

// Do runs f on a thread inside the network namespace ns, a descriptor; -1 is
// the caller's own. What f opens stays in that namespace. The caller's thread
// is never moved. Failures: Privilege (CAP_SYS_ADMIN).
func Do(ns int, f func() error) error {
	if ns < 0 || isCurrent(ns) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return f()
	}
	done := make(chan error, 1)
	go func() {
		// Not unlocked unless the thread is back where it was: otherwise the
		// runtime ends the thread together with this goroutine.
		runtime.LockOSThread()
		home, err := unix.Open(selfNS, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			done <- fmt.Errorf("ethtool: open own network namespace: %w", err)
			return
		}
		defer unix.Close(home)
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			done <- refused(err)
			return
		}
		err = f()
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// refused is the error of setns(2).
func refused(err error) error {
	const what = "enter network namespace"
	if errors.Is(err, unix.EPERM) {
		return failure.Wrap(failure.Privilege, fmt.Errorf("%w: CAP_SYS_ADMIN: %w", hostif.ErrPrivilege, err), what, "run as root (sudo)")
	}
	return fmt.Errorf("ethtool: %s: %w", what, err)
}

func isCurrent(ns int) bool {
	var a, b unix.Stat_t
	return unix.Fstat(ns, &a) == nil && unix.Stat(selfNS, &b) == nil && a.Ino == b.Ino && a.Dev == b.Dev
}

// Identify names the namespace ns, a descriptor; -1 is the caller's own.
func Identify(ns int) (NetNS, error) {
	var id NetNS
	err := Do(ns, func() error {
		var st unix.Stat_t
		if err := unix.Stat(selfNS, &st); err != nil {
			return fmt.Errorf("ethtool: stat network namespace: %w", err)
		}
		id.Inode = st.Ino
		id.Cookie = cookie()
		return nil
	})
	if err != nil {
		return NetNS{}, err
	}
	eachNetNS(func(path string, inode uint64) bool {
		if inode == id.Inode {
			id.Path = path
		}
		return inode != id.Inode
	})
	return id, nil
}

// cookie returns the calling thread's namespace's cookie, 0 before Linux 5.14.
func cookie() uint64 {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	c, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0
	}
	return c
}

// Open returns a descriptor of the namespace, or os.ErrNotExist if it is gone.
func (n NetNS) Open() (int, error) {
	if fd := n.openIf(n.Path); fd >= 0 {
		return fd, nil
	}
	found := -1
	eachNetNS(func(path string, inode uint64) bool {
		if inode == n.Inode {
			found = n.openIf(path)
		}
		return found < 0
	})
	if found < 0 {
		return -1, fmt.Errorf("ethtool: network namespace net:[%d]: %w", n.Inode, os.ErrNotExist)
	}
	return found, nil
}

// openIf opens path if it is this namespace, or returns -1.
func (n NetNS) openIf(path string) int {
	if path == "" {
		return -1
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	var st unix.Stat_t
	ok := unix.Fstat(fd, &st) == nil && st.Ino == n.Inode
	if ok && n.Cookie != 0 {
		ok = Do(fd, func() error {
			if cookie() != n.Cookie {
				return os.ErrNotExist
			}
			return nil
		}) == nil
	}
	if !ok {
		unix.Close(fd)
		return -1
	}
	return fd
}

// eachNetNS calls f once for each network namespace that can be named, until f
// returns false: bind mounts first, as their names last, then the namespaces of
// processes, then those this process holds by descriptor only.
func eachNetNS(f func(path string, inode uint64) bool) {
	seen := map[uint64]bool{}
	try := func(path string) bool {
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || seen[st.Ino] {
			return true
		}
		seen[st.Ino] = true
		return f(path, st.Ino)
	}
	for _, path := range mountedNetNS() {
		if !try(path) {
			return
		}
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	tasks, _ := filepath.Glob("/proc/self/task/*/ns/net")
	for _, path := range append(procs, tasks...) {
		if !try(path) {
			return
		}
	}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, path := range fds {
		if to, err := os.Readlink(path); err != nil || !strings.HasPrefix(to, "net:[") {
			continue
		}
		if !try(path) {
			return
		}
	}
}

// mountedNetNS lists the mount points of namespace files.
func mountedNetNS() []string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return parseMounts(string(b))
}

// parseMounts returns the mount points in mountinfo (proc(5)) whose root is a
// network namespace.
func parseMounts(mountinfo string) (paths []string) {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(mountinfo) {
		f := strings.Fields(line)
		if len(f) > 4 && strings.HasPrefix(f[3], "net:[") {
			paths = append(paths, unescape.Replace(f[4]))
		}
	}
	return paths
}
