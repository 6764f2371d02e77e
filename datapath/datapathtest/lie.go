package datapathtest

import "github.com/meshnic/meshnic/datapath/wire"

// Patch writes b at off, counted from the frame's start, or from its end if off
// is negative.
func (f Frame) Patch(off int, b ...byte) Frame {
	g := f.clone()
	if off < 0 {
		off += len(g)
	}
	copy(g[off:off+len(b)], b)
	return g
}

// L3 returns where the network header begins.
func (f Frame) L3() int { return f.l3() }

// L4 returns where the L4 header begins, behind IP options and extension headers.
func (f Frame) L4() int {
	off := f.l3()
	if f[off]>>4 == 4 {
		return off + wire.IPv4(f[off:]).HeaderLen()
	}
	c, _ := wire.WalkIPv6Ext(wire.IPv6(f[off:]).NextHeader(), f[off+wire.IPv6Len:])
	return off + wire.IPv6Len + c.Len
}

// PatchL3 writes b at off from the network header and, over IPv4, makes the
// header checksum right again if the header is whole.
func (f Frame) PatchL3(off int, b ...byte) Frame {
	g := f.Patch(f.l3()+off, b...)
	if h := wire.IPv4(g[g.l3():]); h[0]>>4 == 4 && h.HeaderLen() >= wire.IPv4MinLen && h.HeaderLen() <= len(h) {
		h.FillChecksum()
	}
	return g
}

// PatchL4 writes b at off from the L4 header and makes the L4 checksum right
// again if the lengths allow.
func (f Frame) PatchL4(off int, b ...byte) Frame {
	g := f.Patch(f.L4()+off, b...)
	wire.FillL4Checksum(g)
	return g
}

// TotalLen sets IPv4's total length or IPv6's payload length.
func (f Frame) TotalLen(n int) Frame {
	off := 2
	if f[f.l3()]>>4 == 6 {
		off = 4
	}
	return f.PatchL3(off, byte(n>>8), byte(n))
}

// IHL sets the IPv4 header length in 32-bit words.
func (f Frame) IHL(words uint8) Frame { return f.PatchL3(0, 4<<4|words) }

// TTL sets TTL or hop limit.
func (f Frame) TTL(n uint8) Frame {
	if f[f.l3()]>>4 == 6 {
		return f.PatchL3(7, n)
	}
	return f.PatchL3(8, n)
}

// Fragment makes an IPv4 packet a fragment at offset bytes, a multiple of eight.
func (f Frame) Fragment(offset int, more bool) Frame {
	v := uint16(offset / 8)
	if more {
		v |= wire.IPv4MoreFragments
	}
	return f.PatchL3(6, byte(v>>8), byte(v))
}

// DataOffset sets the TCP header length in 32-bit words.
func (f Frame) DataOffset(words uint8) Frame { return f.PatchL4(12, words<<4) }

// UDPLen sets the UDP length.
func (f Frame) UDPLen(n uint16) Frame { return f.PatchL4(4, byte(n>>8), byte(n)) }

// BadIPChecksum flips a bit of the IPv4 header checksum.
func (f Frame) BadIPChecksum() Frame {
	at := f.l3() + 10
	return f.Patch(at, f[at]^1)
}

// BadL4Checksum flips a bit of the last byte, so that the L4 checksum of a
// frame without padding is wrong.
func (f Frame) BadL4Checksum() Frame { return f.Patch(-1, f[len(f)-1]^1) }

// PartialChecksum leaves in the L4 checksum field what a sender with checksum
// offload leaves there: the sum of the pseudo-header.
func (f Frame) PartialChecksum() Frame {
	g := f.clone()
	l, ok := wire.FindL4(g)
	if !ok {
		panic("datapathtest: no L4 checksum")
	}
	g[l.Off+l.SumOff], g[l.Off+l.SumOff+1] = byte(l.Pseudo>>8), byte(l.Pseudo)
	return g
}

// Truncate keeps the first n bytes, or drops the last -n if n is negative.
func (f Frame) Truncate(n int) Frame {
	if n < 0 {
		n += len(f)
	}
	return f[:n].clone()
}
