//go:build linux

package xdp

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
)

// A port that is opened for later leaves what arrives to the kernel until it is told
// to take it, and again when it is told to stop.
func TestDivert(t *testing.T) {
	needXDP(t)
	near, far := newNS(t), newNS(t)
	require.NoError(t, addVeth(far, "eth0", near, "p0", 1500))
	address(t, far, "eth0", clientAddr+"/24")
	address(t, near, "p0", serverAddr+"/24")
	var there, here net.PacketConn
	require.NoError(t, ethtool.Do(near, func() (err error) {
		there, err = net.ListenPacket("udp4", serverAddr+":7000")
		return err
	}))
	defer there.Close()
	require.NoError(t, ethtool.Do(far, func() (err error) {
		here, err = net.ListenPacket("udp4", clientAddr+":7000")
		return err
	}))
	defer here.Close()
	to := there.LocalAddr()
	send := func() {
		_, err := here.WriteTo([]byte("x"), to)
		require.NoError(t, err)
	}
	wait := func(comes bool) time.Time {
		if comes {
			return time.Now().Add(10 * time.Second)
		}
		return time.Now().Add(50 * time.Millisecond)
	}
	arrives := func(want bool) bool {
		require.NoError(t, there.SetReadDeadline(wait(want)))
		_, _, err := there.ReadFrom(make([]byte, 10))
		return err == nil
	}
	send()
	require.True(t, arrives(true), "neighbours are known, too")

	g := open(t, Config{Ifaces: []Iface{{"p0", near}}, Frames: 64, Later: true})
	l := g.Links[0]
	comes := func(want bool) bool {
		for end := wait(want); ; time.Sleep(time.Millisecond) {
			n, err := l.Recv(make([]*hostif.Frame, 8))
			require.NoError(t, err)
			if n > 0 || time.Now().After(end) {
				return n > 0
			}
		}
	}
	for _, on := range []bool{false, true, false, true} {
		require.NoError(t, l.Divert(on))
		send()
		require.Equal(t, !on, arrives(!on), "diverted: %t", on)
		require.Equal(t, on, comes(on), "diverted: %t", on)
	}
	require.NoError(t, g.Close())
	require.ErrorIs(t, l.Divert(true), net.ErrClosed)
	send()
	require.True(t, arrives(true))
}
