//go:build linux

package xdp

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
)

// tagAll has an interface's host tag what it sends as a VLAN device does: beside the
// frame, for the device to put in.
func tagAll(t *testing.T, ns int, iface string, tpid, tci uint16) {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, network16(tpid)),
			asm.Mov.Imm(asm.R3, int32(tci)),
			asm.FnSkbVlanPush.Call(),
			asm.Mov.Imm(asm.R0, -1), // TCX_NEXT
			asm.Return(),
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { prog.Close() })
	require.NoError(t, ethtool.Do(ns, func() error {
		l, err := netlink.LinkByName(iface)
		if err != nil {
			return err
		}
		at, err := link.AttachTCX(link.TCXOptions{Program: prog, Interface: l.Attrs().Index, Attach: ebpf.AttachTCXEgress})
		if err == nil {
			t.Cleanup(func() { at.Close() })
		}
		return err
	}))
}

// A VLAN device gives its tag to the device below it beside the frame, where neither the
// program nor the socket sees it: taken for untagged, the frame would leave its VLAN. So
// the tag must be in the frame when it arrives.
func TestVLANTag(t *testing.T) {
	needXDP(t)
	for _, tpid := range []uint16{unix.ETH_P_8021Q, unix.ETH_P_8021AD} {
		t.Run(fmt.Sprintf("%#x", tpid), func(t *testing.T) {
			nic, host := newNS(t), newNS(t)
			require.NoError(t, addVeth(nic, "p0", host, "eth0", 1500))
			address(t, host, "eth0", clientAddr+"/24")
			tagAll(t, host, "eth0", tpid, 5)
			g := open(t, Config{Ifaces: []Iface{{"p0", nic}}, Frames: 64})
			require.NoError(t, ethtool.Do(host, func() error {
				c, err := net.Dial("udp4", serverAddr+":7000") // asks for its address first
				if err == nil {
					_, err = c.Write([]byte("x"))
					c.Close()
				}
				return err
			}))
			frames := make([]*hostif.Frame, 8)
			var n int
			require.Eventually(t, func() bool {
				var err error
				n, err = g.Links[0].Recv(frames)
				require.NoError(t, err)
				return n > 0
			}, 10*time.Second, time.Millisecond)
			b := frames[0].Data
			require.Equal(t, tpid, binary.BigEndian.Uint16(b[12:]), "% x", b)
			require.EqualValues(t, 5, binary.BigEndian.Uint16(b[14:]))
			require.EqualValues(t, unix.ETH_P_ARP, binary.BigEndian.Uint16(b[16:]))
		})
	}
}
