//go:build linux

package xdp

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

func TestUMEM(t *testing.T) {
	u := newUMEM(8, 2048)
	require.Zero(t, uintptr(unsafe.Pointer(&u.mem[0]))%4096, "page aligned")
	require.NoError(t, u.check())
	a, ok := u.alloc(inFill.at(3))
	require.True(t, ok)
	require.False(t, u.release(a, inTx.at(3)), "released from where it is not")
	require.False(t, u.release(a, inFill.at(2)), "released by another port")
	require.True(t, u.move(a, inFill.at(3), inHeld.at(3)))
	require.NoError(t, u.check())
	require.True(t, u.release(a, inHeld.at(3)))
	require.False(t, u.release(a, inHeld.at(3)), "released twice")
	require.False(t, u.release(99, inFill), "no such chunk")
	for range 8 {
		_, ok := u.alloc(inTx.at(1))
		require.True(t, ok)
	}
	_, ok = u.alloc(inTx.at(1))
	require.False(t, ok)
	u.reclaim(1)
	require.Len(t, u.free, 8)
	require.NoError(t, u.check())

	u.free = append(u.free, u.free[0])
	require.ErrorContains(t, u.check(), "twice")
	u.free = u.free[:7]
	require.ErrorContains(t, u.check(), "nowhere")
}

func TestUMEMAddresses(t *testing.T) {
	u := newUMEM(4, 2048)
	b, ok := u.bytes(2048+256, 100)
	require.True(t, ok)
	require.Equal(t, 2048-256, cap(b), "room to the chunk's end, no further")
	addr, ok := u.addrOf(b)
	require.True(t, ok)
	require.EqualValues(t, 2048+256, addr)
	for _, bad := range []struct {
		addr uint64
		n    uint32
	}{{2048, 2049}, {8192, 1}, {8191, 2}, {1 << 63, 1}, {1<<64 - 1, 1}} {
		_, ok := u.bytes(bad.addr, bad.n)
		require.False(t, ok, "%+v", bad)
	}
	_, ok = u.addrOf(make([]byte, 10))
	require.False(t, ok, "foreign memory")
	_, ok = u.addrOf(u.mem[2040:2060])
	require.False(t, ok, "across two chunks")
	_, ok = u.addrOf(nil)
	require.False(t, ok)
}

func TestLayout(t *testing.T) {
	for _, tt := range []struct {
		mtu, chunk int
		multi      bool
	}{{68, 2048, false}, {1500, 2048, false}, {1770, 2048, false}, {1771, 4096, false}, {3498, 4096, false}, {3499, 4096, true}, {9000, 4096, true}} {
		chunk, multi := layout(tt.mtu)
		require.Equal(t, tt.chunk, chunk, "MTU %d", tt.mtu)
		require.Equal(t, tt.multi, multi, "MTU %d", tt.mtu)
		if !multi {
			require.LessOrEqual(t, tt.mtu+14+8+256, chunk, "a tagged frame of MTU %d fits behind the headroom", tt.mtu)
		}
	}
}

// offline is a port without a kernel behind it: the test fills its rings.
func offline(chunks int) (l *Link, rx *ring[unix.XDPDesc]) {
	g := &Group{umem: newUMEM(chunks, 2048)}
	entries := make([]unix.XDPDesc, chunks)
	p, c, f := uint32(0), uint32(0), uint32(0)
	side := func() *ring[unix.XDPDesc] {
		return &ring[unix.XDPDesc]{entries: entries, mask: uint32(chunks - 1), producer: &p, consumer: &c, flags: &f}
	}
	fill, _ := twin(chunks, 0)
	comp, _ := twin(chunks, 0)
	l = &Link{g: g, slots: make([]slot, batchMax), wake: &waker{event: -1, epoll: -1},
		sock: &socket{fd: -1, rx: side(), fill: fill, comp: comp}}
	g.Links = []*Link{l}
	return l, side()
}

// FuzzRecv feeds descriptors that no sane kernel writes: addresses outside the
// UMEM or across chunks, chunks that are not ours to receive, twice the same,
// parts without an end. Nothing may panic, read outside, or lose a chunk.
func FuzzRecv(f *testing.F) {
	desc := func(addr uint64, n, options uint32) []byte {
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, addr), n), options)
	}
	f.Add(desc(256, 60, 0), uint8(4))
	f.Add(append(desc(256, 1700, 1), desc(2048, 60, 0)...), uint8(4))
	f.Add(append(desc(256, 60, 0), desc(256, 60, 0)...), uint8(4))
	f.Add(desc(1<<64-1, 1<<32-1, 1), uint8(8))
	f.Add(desc(2040, 60, 0), uint8(1))
	f.Add(append(desc(256, 1000, 1), desc(256, 1000, 0)...), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, given uint8) {
		l, kernel := offline(16)
		u := l.g.umem
		for range given % 16 {
			u.alloc(inFill.at(0))
		}
		n := 0
		for ; len(b) >= 16 && n < 16; b = b[16:] {
			kernel.put(unix.XDPDesc{Addr: binary.LittleEndian.Uint64(b), Len: binary.LittleEndian.Uint32(b[8:]), Options: binary.LittleEndian.Uint32(b[12:])})
			n++
		}
		kernel.submit()
		frames := make([]*hostif.Frame, 4)
		for range 20 {
			n, err := l.Recv(frames)
			require.NoError(t, err)
			for _, fr := range frames[:n] {
				require.GreaterOrEqual(t, len(fr.Data), 14)
				for i := range fr.Data {
					fr.Data[i]++
				}
			}
			require.NoError(t, u.check())
		}
		held := 0
		for _, p := range u.where {
			if p.kind() == inHeld {
				held++
			}
		}
		require.Zero(t, held, "a chunk is still held after everything was given back")
	})
}
