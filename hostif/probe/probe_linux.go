package probe

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Host asks every question.
func Host() []Finding {
	return []Finding{
		finding("AF_XDP", "attach --mode xdp, the bench's nic systems as root", XDP()),
		finding("TAP", "attach --mode tap", TAP()),
		finding("AF_PACKET", "attach --mode packet, the bench without root", Packet()),
		finding("network namespaces", "labs, the bench as root", namespaces()),
		finding("unprivileged user namespaces", "the bench without root", userNamespaces()),
	}
}

func finding(name, purpose string, err error) Finding {
	f := Finding{Name: name, OK: err == nil, For: purpose}
	if err != nil {
		f.Why, f.Next, _ = strings.Cut(err.Error(), "\n")
	}
	return f
}

// because says which of the causes that share an errno it is, and the remedy.
func because(what string, err error, privilege, missing string) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: %w\n%s", what, err, privilege)
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s: %w\n%s", what, err, missing)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// XDP tries an AF_XDP socket and the map that leads frames to it.
func XDP() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return because("socket(AF_XDP)", err, "run as root, or grant CAP_NET_RAW", "needs a kernel with CONFIG_XDP_SOCKETS (Linux 4.18 or later)")
	}
	unix.Close(fd)
	spec := &ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	m, err := ebpf.NewMap(spec)
	if errors.Is(err, unix.EPERM) && rlimit.RemoveMemlock() == nil { // before Linux 5.11 the limit counts
		m, err = ebpf.NewMap(spec)
	}
	if errors.Is(err, unix.EPERM) {
		err = unix.EPERM // without the library's guess that it is the limit
	}
	if err != nil {
		return because("create an XSKMAP", err, "run as root, or grant CAP_BPF and CAP_NET_ADMIN outside any user namespace",
			"needs a kernel with CONFIG_XDP_SOCKETS and CONFIG_BPF_SYSCALL")
	}
	return m.Close()
}

// TAP tries to open the device that TAP interfaces come from.
func TAP() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return because("open /dev/net/tun", err, "run as root, or chmod 0666 /dev/net/tun", "modprobe tun; in a container pass --device /dev/net/tun")
	}
	return unix.Close(fd)
}

// Packet tries a packet socket.
func Packet() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return because("socket(AF_PACKET)", err, "run as root, grant CAP_NET_RAW, or run inside a user and network namespace: unshare -Urn",
			"needs a kernel with CONFIG_PACKET")
	}
	return unix.Close(fd)
}

// namespaces tells whether named namespaces can be made.
func namespaces() error {
	if os.Geteuid() != 0 {
		return errors.New("not root\nthe bench makes a user namespace instead; or run with sudo")
	}
	if err := unix.Access("/run", unix.W_OK); err != nil {
		return fmt.Errorf("/run is not writable: %w\nmount a tmpfs on /run/netns", err)
	}
	return nil
}

func userNamespaces() error {
	for file, bad := range map[string]string{
		"/proc/sys/kernel/unprivileged_userns_clone":             "0",
		"/proc/sys/user/max_user_namespaces":                     "0",
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
	} {
		b, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(b)) == bad {
			return fmt.Errorf("%s is %s\nchange it with sysctl, or run as root", file, bad)
		}
	}
	if _, err := os.Stat("/proc/self/ns/user"); err != nil {
		return fmt.Errorf("%w\nneeds a kernel with CONFIG_USER_NS", err)
	}
	path, err := exec.LookPath("true")
	if err != nil {
		return nil // nothing to try it with
	}
	cmd := exec.Command(path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET}
	if err := cmd.Run(); err != nil {
		return because("make one", err, "a container, a chroot or a security module denies it: run as root, or allow it on the host", "needs a kernel with CONFIG_USER_NS")
	}
	return nil
}
