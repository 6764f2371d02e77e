package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/hostif/probe"
)

// denyVar makes this test binary, before it is meshnic, give up something of
// the kernel's: "xdp" (sockets of that family are not known) or "userns" (they
// are not allowed).
const denyVar = "MESHNIC_TEST_DENY"

// deny installs the filter that denyVar asks for on all threads.
func deny(what string) error {
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	jump := func(op uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: yes, Jf: no, K: k}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	call, test, errno := uint32(unix.SYS_SOCKET), jump(unix.BPF_JEQ, unix.AF_XDP, 0, 1), unix.EAFNOSUPPORT
	if what == "userns" {
		call, test, errno = unix.SYS_CLONE, jump(unix.BPF_JSET, unix.CLONE_NEWUSER, 0, 1), unix.EPERM
	}
	// struct seccomp_data: nr, arch, instruction pointer, arguments of 8 bytes,
	// whose low half comes first on little-endian machines.
	prog := []unix.SockFilter{
		load(0), jump(unix.BPF_JEQ, call, 0, 3),
		load(16), test, ret(unix.SECCOMP_RET_ERRNO | uint32(errno)),
		ret(unix.SECCOMP_RET_ALLOW),
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	f := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&f)))
	if e != 0 {
		return e
	}
	return nil
}

// asNobody makes cmd run as a user without rights who has not entered anything.
func asNobody(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 || netns.Entered() == "unprivileged" {
		t.Skip("needs root to become somebody else")
	}
	// A user need not be able to read the directory go test builds in.
	b, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "meshnic")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	cmd.Path = filepath.Join(dir, "meshnic.test")
	require.NoError(t, os.WriteFile(cmd.Path, b, 0o755))
	cmd.Dir = dir
	cmd.Env = append(cmd.Env, "MESHNIC_ENTERED=", "HOME="+dir, "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

// Two veth pairs, as a user has them: the ends to attach to, and the hosts'.
func twoVeths(t *testing.T) {
	t.Helper()
	hostiftest.NeedNet(t, netns.Probe)
	for _, n := range []string{"a", "b"} {
		hostiftest.IP(t, "link", "add", "port-"+n, "type", "veth", "peer", "name", "host-"+n)
		t.Cleanup(func() { exec.Command("ip", "link", "del", "port-"+n).Run() })
		for _, end := range []string{"port-", "host-"} {
			hostiftest.IP(t, "link", "set", end+n, "addrgenmode", "none") // no IPv6 address that comes later
			hostiftest.IP(t, "link", "set", end+n, "up")
		}
	}
	// The kernel adds routes for multicast once it has seen the carrier.
	for was := ""; was != hostState(t); time.Sleep(200 * time.Millisecond) {
		was = hostState(t)
	}
}

var attachBoth = []string{"attach", "--port", "a=port-a", "--port", "b=port-b", "--for", "200ms", "-o", "json"}

// A kernel without AF_XDP: asked for, it is code 5 with what to use instead;
// left to meshnic, it is AF_PACKET, and that is said with the reason.
func TestKernelWithoutAFXDP(t *testing.T) {
	twoVeths(t)
	before := hostState(t)
	cmd := meshnic(t, append(attachBoth, "--mode", "xdp")...)
	cmd.Env = append(cmd.Env, denyVar+"=xdp")
	code, stdout, stderr := result(t, cmd)
	require.Equal(t, 5, code, stderr)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "CONFIG_XDP_SOCKETS")
	require.Contains(t, stderr, "next: use --mode tap or --mode packet")
	require.Equal(t, before, hostState(t))

	cmd = meshnic(t, attachBoth...)
	cmd.Env = append(cmd.Env, denyVar+"=xdp")
	code, stdout, stderr = result(t, cmd)
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "mode packet: AF_XDP does not work here (socket(AF_XDP): address family not supported")
	var s struct{ Mode string }
	require.NoError(t, json.Unmarshal([]byte(stdout), &s))
	require.Equal(t, "packet", s.Mode)
	require.Equal(t, before, hostState(t))

	cmd = meshnic(t, "doctor")
	cmd.Env = append(cmd.Env, denyVar+"=userns")
	_, stdout, _ = result(t, cmd)
	require.Regexp(t, `no +unprivileged user namespaces(.*\n)+? +next: a container, a chroot or a security module denies it`, stdout)
	cmd = meshnic(t, "doctor")
	cmd.Env = append(cmd.Env, denyVar+"=xdp")
	_, stdout, _ = result(t, cmd)
	require.Regexp(t, `no +AF_XDP(.*\n)+ +next: needs a kernel with CONFIG_XDP_SOCKETS`, stdout)
}

// An interface that is taken is a conflict that names who has it.
func TestBusyInterface(t *testing.T) {
	twoVeths(t)
	hostiftest.NeedNet(t, probe.XDP)
	before := hostState(t)
	sock := filepath.Join(t.TempDir(), "nic.sock")
	first := meshnic(t, "attach", "--port", "a=port-a", "--port", "b=port-b", "--mode", "xdp", "--control", sock)
	require.NoError(t, first.Start())
	await(t, sock)
	busy := hostState(t)
	for _, mode := range []string{"xdp", "packet"} {
		code, stdout, stderr := result(t, meshnic(t, append(attachBoth, "--mode", mode)...))
		require.Equal(t, 6, code, stderr)
		require.Empty(t, stdout)
		require.Contains(t, stderr, fmt.Sprintf("attach port a to port-a: in use: it is a port of the NIC of process %d\n", first.Process.Pid))
		require.Contains(t, stderr, "next: end that attach first")
		require.Equal(t, busy, hostState(t), "the first one is left alone")
	}

	code, _, stderr := result(t, meshnic(t, "attach", "--port", "a=host-a", "--port", "b=host-b", "--mode", "packet", "--for", "10ms", "--control", sock))
	require.Equal(t, 6, code, stderr)
	require.Contains(t, stderr, "another meshnic answers on it")

	require.NoError(t, first.Process.Signal(unix.SIGINT))
	first.Wait()
	require.Equal(t, before, hostState(t))
}

// Without rights each verb says which capability it lacks and what to do.
func TestMissingCapability(t *testing.T) {
	twoVeths(t)
	spec := filepath.Join(t.TempDir(), "lab.yaml")
	require.NoError(t, os.WriteFile(spec, []byte("name: t_denied\nfabric: bridge\nhosts: [{name: a}]\n"), 0o600))
	code, _, stderr := result(t, meshnic(t, "lab", "up", spec))
	require.Zero(t, code, stderr)
	defer func() {
		code, _, stderr := result(t, meshnic(t, "lab", "down", "t_denied"))
		require.Zero(t, code, stderr)
	}()
	elsewhere := slices.Clip([]string{"attach", "--netns", "mnic-t_denied-a", "--port", "a=x", "--port", "b=y"})
	for _, tt := range []struct {
		name string
		args []string
		deny string
		says []string
	}{
		{"attach", attachBoth, "", []string{"CAP_NET_RAW", "next: run as root"}},
		{"attach over AF_XDP", append(attachBoth, "--mode", "xdp"), "", []string{"CAP_NET_RAW", "next: run as root"}},
		{"attach over TAP", []string{"attach", "--mode", "tap", "--port", "a=tap-a", "--port", "b=tap-b"}, "", []string{"CAP_NET_ADMIN", "next: run as root"}},
		{"attach in another namespace", append(elsewhere, "--mode", "packet"), "", []string{"CAP_SYS_ADMIN", "next: run as root"}},
		{"attach over AF_XDP in another namespace", append(elsewhere, "--mode", "xdp"), "", []string{"CAP_SYS_ADMIN", "next: run as root"}},
		{"attach over TAP in another namespace", append(elsewhere, "--mode", "tap"), "", []string{"CAP_SYS_ADMIN", "next: run as root"}},
		{"lab up", []string{"lab", "up", "lab.yaml"}, "", []string{"CAP_SYS_ADMIN", "next: run it as root"}},
		{"lab down", []string{"lab", "down", "t_denied"}, "", []string{"t_denied", "CAP_SYS_ADMIN", "next: run it as root"}},
		{"clean", []string{"clean"}, "", []string{"t_denied", "CAP_SYS_ADMIN", "next: run it as root"}},
		{"low port", []string{"bookinfo", "details", "--listen", ":80"}, "", []string{"CAP_NET_BIND_SERVICE", "1024"}},
		{"bench where user namespaces are denied", []string{"bench", "hop", "--quick"}, "userns", []string{"user namespaces are denied to this user here", "next: run it as root"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := hostState(t)
			cmd := asNobody(t, meshnic(t, tt.args...))
			require.NoError(t, os.WriteFile(filepath.Join(cmd.Dir, "lab.yaml"), []byte("name: t_denied2\nfabric: bridge\nhosts: [{name: a}]\n"), 0o644))
			if tt.deny != "" {
				cmd.Env = append(cmd.Env, denyVar+"="+tt.deny)
			}
			code, stdout, stderr := result(t, cmd)
			require.Equal(t, 4, code, stderr)
			require.Empty(t, stdout)
			for _, s := range tt.says {
				require.Contains(t, stderr, s)
			}
			require.NotContains(t, stderr, "running in a user and network namespace")
			require.NoDirExists(t, filepath.Join(cmd.Dir, "runs"))
			require.Equal(t, before, hostState(t))
		})
	}
}
