package netns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

// Privileged reports whether this process has the capabilities that labs need.
func Privileged() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&hdr, &data[0]) != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN
	return data[0].Effective&need == need
}

// EnterUnprivileged runs this program again, with args, as root of a user
// namespace with a network, mount and pid namespace of its own, so that a user
// without rights can make labs in it. It says so in one line on stderr, passes
// signals on, waits, and returns the program's exit code. The program's main
// must call spawn.Dispatch first.
//
// Everything in there ends with it, also by kill -9: nothing is left to clean.
func EnterUnprivileged(args []string) (code int, err error) {
	if err := userNamespaces(); err != nil {
		return 0, err
	}
	return enter(unprivileged, args, &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	})
}

// EnterPrivate does the same for root, without a user namespace: every right is
// kept, and the host's interfaces, processes and labs are out of reach. Tests
// that compare the host before and after use it.
func EnterPrivate(args []string) (code int, err error) {
	return enter("private", args, &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
	})
}

// userNSSwitch is a file by whose value a system denies user namespaces.
type userNSSwitch struct{ file, key, denies, allows string }

func userNSSwitches() []userNSSwitch {
	return []userNSSwitch{
		{"/proc/sys/user/max_user_namespaces", "user.max_user_namespaces", "0", "10000"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone", "0", "1"},                         // Debian, Ubuntu
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "kernel.apparmor_restrict_unprivileged_userns", "1", "0"}, // Ubuntu 23.10 and later
	}
}

// userNamespaces reports the switch by which this system denies them, if any.
func userNamespaces() error { return denied(userNSSwitches()) }

func denied(switches []userNSSwitch) error {
	for _, s := range switches {
		b, err := os.ReadFile(s.file)
		if err != nil || strings.TrimSpace(string(b)) != s.denies {
			continue
		}
		return failure.New(failure.Privilege, "make a user namespace",
			"this system does not let users: "+s.key+" is "+s.denies,
			"run it as root, or: sudo sysctl "+s.key+"="+s.allows)
	}
	return nil
}

// unprivileged is how a program was entered by EnterUnprivileged.
const unprivileged = "unprivileged"

func enter(how string, args []string, attr *syscall.SysProcAttr) (int, error) {
	// The init is killed when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status, statusW, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("netns: %w", err)
	}
	defer status.Close()
	attr.Pdeathsig = syscall.SIGKILL
	attr.Setpgid = true // so that Ctrl-C reaches the program once, by way of us
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{os.Args[0], InitVerb}, args...)
	cmd.Env = append(os.Environ(), enteredVar+"="+how)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{statusW}
	cmd.SysProcAttr = attr
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer signal.Stop(signals)
	err = cmd.Start()
	statusW.Close()
	if err != nil {
		return 0, enterDenied(how, err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case s := <-signals:
				cmd.Process.Signal(s)
			case <-stop:
				return
			}
		}
	}()
	why, _ := io.ReadAll(status)
	err = cmd.Wait()
	if len(why) > 0 {
		text, denied := strings.CutPrefix(string(why), "rights: ")
		return 0, enterFailed(text, denied)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("netns: %w", err)
	}
	return exitCode(cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// enterDenied is the failure of the clone itself.
func enterDenied(how string, err error) error {
	var errno syscall.Errno
	if how != unprivileged || !errors.As(err, &errno) {
		return enterFailed(err.Error(), errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES))
	}
	switch errno {
	case unix.EPERM, unix.EACCES: // a container's seccomp filter, a security module, a chroot
		return enterFailed("user namespaces are denied to this user here: "+errno.Error(), true)
	case unix.ENOSPC, unix.EUSERS:
		return failure.New(failure.Privilege, "make namespaces of its own", "the number of user namespaces is limited, and all are in use",
			"run it as root, or: sudo sysctl user.max_user_namespaces=10000")
	case unix.EINVAL, unix.ENOSYS:
		return enterFailed("this kernel has no user namespaces (CONFIG_USER_NS): "+errno.Error(), false)
	}
	return enterFailed(err.Error(), false)
}

func enterFailed(why string, rights bool) error {
	if rights {
		return failure.New(failure.Privilege, "make namespaces of its own", why,
			"run it as root; in a container, give it --privileged or allow unprivileged user namespaces on its host")
	}
	return failure.New(failure.Unsupported, "make namespaces of its own", why, "run it as root on a kernel with user, pid and network namespaces")
}

func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// InitMain is the first process of a private host: it mounts what belongs to
// it, runs the program again with args, passes signals on, reaps orphans, and
// ends with the program's exit code, and all that is left in there with it.
func InitMain(args []string) {
	const statusFd = 3
	unix.CloseOnExec(statusFd)
	status := os.NewFile(statusFd, "status")
	if err := setUpHost(); err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			fmt.Fprint(status, "rights: ")
		}
		fmt.Fprint(status, err)
		os.Exit(int(failure.Unexpected))
	}
	if Entered() == unprivileged {
		fmt.Fprintln(os.Stderr, "meshnic: not root: running in a user and network namespace of its own, over AF_PACKET instead of AF_XDP")
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		self = "/proc/self/exe"
	}
	pid, err := syscall.ForkExec("/proc/self/exe", append([]string{self}, args...), &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprint(status, err)
		os.Exit(int(failure.Unexpected))
	}
	status.Close()
	go func() {
		for s := range signals {
			unix.Kill(pid, s.(syscall.Signal))
		}
	}()
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			os.Exit(int(failure.Unexpected))
		}
		if got == pid && (ws.Exited() || ws.Signaled()) {
			os.Exit(exitCode(ws))
		}
	}
}

// setUpHost mounts a /proc and a /run of the private host's own, and brings
// loopback up.
func setUpHost() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := ownRun(); err != nil {
		return err
	}
	return loopbackUp()
}

// ownRun puts an empty file system on /run and shows in it what was there
// before, except namespaces and labs.
func ownRun() error {
	old, err := unix.Open("/run", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/run: %w", err)
	}
	defer unix.Close(old)
	entries, _ := os.ReadDir("/run")
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for _, e := range entries {
		name := filepath.Join("/run", e.Name())
		was := fmt.Sprintf("/proc/self/fd/%d/%s", old, e.Name())
		switch {
		case name == Dir || e.Name() == "meshnic":
			continue
		case e.Type()&os.ModeSymlink != 0:
			if to, err := os.Readlink(was); err == nil {
				os.Symlink(to, name)
			}
			continue
		case e.IsDir():
			err = os.Mkdir(name, 0o755)
		default:
			err = os.WriteFile(name, nil, 0o644)
		}
		if err == nil {
			err = unix.Mount(was, name, "", unix.MS_BIND|unix.MS_REC, "")
		}
		if err != nil {
			os.Remove(name) // it is missing in there then, nothing of ours needs it
		}
	}
	return nil
}
