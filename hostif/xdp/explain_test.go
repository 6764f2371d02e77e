//go:build linux

package xdp

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

func TestExplain(t *testing.T) {
	p := &port{name: "p0", kind: "veth", mtu: 9000}
	for _, tt := range []struct {
		name string
		err  error
		kind failure.Kind
		is   error
		says string
	}{
		{"socket, no right", explain("open a socket for", "p0", unix.EPERM), failure.Privilege, hostif.ErrPrivilege, "CAP_NET_RAW"},
		{"socket, no AF_XDP", explain("open a socket for", "p0", unix.EAFNOSUPPORT), failure.Unsupported, hostif.ErrNotSupported, "CONFIG_XDP_SOCKETS"},
		{"interface vanished", explain("bind", "p0", unix.ENODEV), failure.Unexpected, hostif.ErrNoInterface, "vanished"},
		{"memory lock", explainUMEM("p0", 16<<20, unix.ENOBUFS), failure.Privilege, hostif.ErrPrivilege, "16384 KiB"},
		{"queue busy", explainBind("p0", 2*time.Second, unix.EBUSY), failure.Conflict, hostif.ErrBusy, "2.0 s"},
		{"bind, old kernel", explainBind("p0", 0, unix.EINVAL), failure.Unsupported, hostif.ErrNotSupported, "6.6"},
		{"bind, no right", explainBind("p0", 0, unix.EPERM), failure.Privilege, hostif.ErrPrivilege, "CAP_NET_RAW"},
		{"bpf, no right", explainBPF("p0", fmt.Errorf("map create: %w", unix.EPERM)), failure.Privilege, hostif.ErrPrivilege, "CAP_BPF"},
		{"attach, another was first", explainAttach(p, unix.EBUSY), failure.Conflict, hostif.ErrBusy, "ip -d link"},
		{"attach, MTU", explainAttach(p, unix.ERANGE), failure.Unsupported, hostif.ErrNotSupported, "mtu 3498"},
		{"attach, no right", explainAttach(p, unix.EPERM), failure.Privilege, hostif.ErrPrivilege, "CAP_NET_ADMIN"},
		{"anything else", explainAttach(p, unix.EIO), failure.Unexpected, unix.EIO, "MTU 9000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.kind, failure.KindOf(tt.err))
			require.ErrorIs(t, tt.err, tt.is)
			require.ErrorContains(t, tt.err, tt.says)
			require.ErrorContains(t, tt.err, "p0")
		})
	}
}

// Without a capability Open says which one, and leaves nothing behind.
func TestOpenWithoutCapability(t *testing.T) {
	needXDP(t)
	ns := newNS(t)
	require.NoError(t, addVeth(ns, "p0", ns, "eth0", 1500))
	before := features(t, ns, "eth0")
	for _, tt := range []struct {
		name string
		drop []int
		says string
	}{
		{"CAP_NET_RAW", []int{unix.CAP_NET_RAW}, "CAP_NET_RAW"},
		{"CAP_BPF", []int{unix.CAP_BPF, unix.CAP_SYS_ADMIN}, "CAP_BPF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() {
				runtime.LockOSThread() // the thread ends with this goroutine
				if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
					done <- err
					return
				}
				if err := dropCaps(tt.drop); err != nil {
					done <- err
					return
				}
				g, err := Open(Config{Ifaces: []Iface{{"p0", -1}}, Frames: 64})
				if err == nil {
					_ = g.Close()
				}
				done <- err
			}()
			err := <-done
			require.ErrorIs(t, err, hostif.ErrPrivilege)
			require.Equal(t, failure.Privilege, failure.KindOf(err))
			require.ErrorContains(t, err, tt.says)
			require.ErrorContains(t, err, "setcap")
			require.Equal(t, before, features(t, ns, "eth0"))
		})
	}
	open(t, Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64})
}

// dropCaps takes capabilities from the calling thread's effective set.
func dropCaps(caps []int) error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return err
	}
	for _, c := range caps {
		d[c/32].Effective &^= 1 << (c % 32)
	}
	return unix.Capset(&h, &d[0])
}

// The sum of a frame that was left to a device is finished; one that is merely
// wrong stays wrong, so that the receiver sees the damage.
func TestFinishSum(t *testing.T) {
	frame := func() []byte {
		b := append(make([]byte, 12), 0x08, 0x00)
		b = append(b, 0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
		return append(b, 0x10, 0, 0x20, 0, 0, 11, 0, 0, 'a', 'b', 'c')
	}
	sum := func(b []byte) uint16 { return uint16(b[40])<<8 | uint16(b[41]) }
	// 0x0a00+0x0001+0x0a00+0x0002 + 17 + 11 = 0x141f is the pseudo-header's; the
	// segment adds 0x1000+0x2000+0x000b+0x6162+0x6300: 0x10 8..., folded by hand.
	const pseudo, want = 0x141f, ^uint16((0x141f + 0x1000 + 0x2000 + 0x000b + 0x6162 + 0x6300) % 0xffff)
	b := frame()
	b[40], b[41] = pseudo>>8, pseudo&0xff
	finishSum(b)
	require.Equal(t, want, sum(b))
	finishSum(b)
	require.Equal(t, want, sum(b), "finished twice")
	for _, other := range []uint16{0, 1, want + 1} {
		b = frame()
		b[40], b[41] = byte(other>>8), byte(other)
		finishSum(b)
		require.Equal(t, other, sum(b))
	}
	for n := range len(b) { // cut short anywhere: left alone
		c := frame()[:n]
		finishSum(c)
		require.Equal(t, frame()[:n], c)
	}
}
