package datapathtest

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/datapath/wire"
)

// Frame is an Ethernet frame without FCS. Its methods return a new frame and
// leave the receiver alone, so that a row can start from another row's frame.
type Frame []byte

// Addresses of Eth if it is given none.
const (
	DefaultDst = "02:00:00:00:00:02"
	DefaultSrc = "02:00:00:00:00:01"
)

// Eth starts a frame. Its addresses are destination and source, or the defaults.
func Eth(dstSrc ...string) Frame {
	addr := [2]string{DefaultDst, DefaultSrc}
	copy(addr[:], dstSrc)
	f := make(Frame, wire.EthernetLen)
	wire.Ethernet(f).SetDst(MAC(addr[0]))
	wire.Ethernet(f).SetSrc(MAC(addr[1]))
	return f
}

// MAC returns the address that s writes out. It panics if s does not.
func MAC(s string) wire.MAC { return must(wire.ParseMAC(s)) }

// IP returns the address that s writes out, IPv4 mapped. It panics if s does not.
func IP(s string) [16]byte { return must(wire.ParseIP(s)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic("datapathtest: " + err.Error())
	}
	return v
}

// grow returns a copy of f with n zero bytes behind it.
func (f Frame) grow(n int) Frame {
	return append(append(make(Frame, 0, len(f)+n), f...), make(Frame, n)...)
}

func (f Frame) clone() Frame { return f.grow(0) }

// setType writes the EtherType of what follows the link headers.
func (f Frame) setType(t uint16) { binary.BigEndian.PutUint16(f[f.l3()-2:], t) }

// l3 returns where the network header is or would be.
func (f Frame) l3() int {
	off := wire.EthernetLen
	for t := wire.Ethernet(f).Type(); (t == wire.TypeVLAN || t == wire.TypeQinQ) && len(f) >= off+wire.VLANLen; {
		t = wire.VLAN(f[off:]).Type()
		off += wire.VLANLen
	}
	return off
}

// EtherType sets the EtherType, for payloads of no known protocol.
func (f Frame) EtherType(t uint16) Frame {
	g := f.clone()
	g.setType(t)
	return g
}

// VLAN adds an 802.1Q tag, inside those there are.
func (f Frame) VLAN(id uint16) Frame { return f.Tag(wire.TypeVLAN, id) }

// Tag adds a tag with EtherType tpid and tag control information tci.
func (f Frame) Tag(tpid, tci uint16) Frame {
	g := f.grow(wire.VLANLen)
	binary.BigEndian.PutUint16(g[len(f)-2:], tpid)
	wire.VLAN(g[len(f):]).SetTCI(tci)
	return g
}

// ARP adds an ARP packet for IPv4 over Ethernet.
func (f Frame) ARP(op uint16, senderMAC, senderIP, targetMAC, targetIP string) Frame {
	f = f.EtherType(wire.TypeARP)
	g := f.grow(wire.ARPLen)
	a := wire.ARP(g[len(f):])
	a.Init(op)
	a.SetSender(MAC(senderMAC), v4(senderIP))
	a.SetTarget(MAC(targetMAC), v4(targetIP))
	return g
}

func v4(s string) [4]byte {
	a, ok := wire.UnmapIPv4(IP(s))
	if !ok {
		panic("datapathtest: " + s + " is no IPv4 address")
	}
	return a
}

// DefaultTTL is the TTL and hop limit of IPv4 and IPv6.
const DefaultTTL = 64

// IPv4 adds an IPv4 header. options must be a multiple of four bytes in all.
func (f Frame) IPv4(src, dst string, options ...byte) Frame {
	f = f.EtherType(wire.TypeIPv4)
	g := f.grow(wire.IPv4MinLen + len(options))
	h := wire.IPv4(g[len(f):])
	h.SetVersionIHL(wire.IPv4MinLen + len(options))
	h.SetFlagsOffset(wire.IPv4DontFragment)
	h.SetTTL(DefaultTTL)
	h.SetProto(wire.ProtoNoNext)
	h.SetSrc(v4(src))
	h.SetDst(v4(dst))
	copy(h[wire.IPv4MinLen:], options)
	return g.fix()
}

// IPv6 adds an IPv6 header.
func (f Frame) IPv6(src, dst string) Frame {
	f = f.EtherType(wire.TypeIPv6)
	g := f.grow(wire.IPv6Len)
	h := wire.IPv6(g[len(f):])
	h.SetVersion(0, 0)
	h.SetHopLimit(DefaultTTL)
	h.SetNextHeader(wire.ProtoNoNext)
	h.SetSrc(IP(src))
	h.SetDst(IP(dst))
	return g.fix()
}

// Ext adds an IPv6 extension header of type proto. body is what follows the
// first two bytes, next header and length; it is padded to a multiple of eight.
// Of a fragment header the second byte stays zero.
func (f Frame) Ext(proto uint8, body ...byte) Frame {
	n := (2 + len(body) + 7) &^ 7
	f = f.proto(proto)
	g := f.grow(n)
	h := g[len(f):]
	h[0] = wire.ProtoNoNext
	switch proto {
	case wire.ProtoFragment:
	case wire.ProtoAH:
		h[1] = uint8(n/4 - 2)
	default:
		h[1] = uint8(n/8 - 1)
	}
	copy(h[2:], body)
	return g.fix()
}

// Frag6 adds an IPv6 fragment header for offset bytes, a multiple of eight.
func (f Frame) Frag6(offset int, more bool) Frame {
	v := uint16(offset)
	if more {
		v |= 1
	}
	return f.Ext(wire.ProtoFragment, byte(v>>8), byte(v), 0, 0, 0, 1)
}

// Proto sets the IP protocol of what follows, for payloads of no known protocol.
func (f Frame) Proto(p uint8) Frame { return f.proto(p).fix() }

// proto sets the protocol field that describes what comes at the end of f.
func (f Frame) proto(p uint8) Frame {
	g := f.clone()
	off := g.l3()
	switch g[off] >> 4 {
	case 4:
		wire.IPv4(g[off:]).SetProto(p)
	case 6:
		at, field := off+wire.IPv6Len, off+6
		for at < len(g) {
			n, ok := wire.ExtLen(g[field], g[at:])
			if !ok {
				break
			}
			field, at = at, at+n
		}
		g[field] = p
	default:
		panic("datapathtest: no IP header to carry a protocol")
	}
	return g
}

// UDP adds a UDP header.
func (f Frame) UDP(src, dst uint16) Frame {
	f = f.proto(wire.ProtoUDP)
	g := f.grow(wire.UDPLen)
	h := wire.UDP(g[len(f):])
	h.SetSrcPort(src)
	h.SetDstPort(dst)
	h.SetLength(wire.UDPLen)
	return g.fix()
}

// ICMP adds an ICMP or, over IPv6, ICMPv6 message with the four bytes that
// follow the checksum.
func (f Frame) ICMP(typ, code uint8, rest uint32) Frame {
	p := wire.ProtoICMP
	if f[f.l3()]>>4 == 6 {
		p = wire.ProtoICMPv6
	}
	f = f.proto(p)
	g := f.grow(wire.ICMPLen + 4)
	wire.ICMP(g[len(f):]).SetType(typ, code)
	binary.BigEndian.PutUint32(g[len(f)+wire.ICMPLen:], rest)
	return g.fix()
}

// Payload adds bytes.
func (f Frame) Payload(b string) Frame {
	return append(f.clone(), b...).fix()
}

// Pad adds zero bytes behind the packet, not counted by any header, until the
// frame has n.
func (f Frame) Pad(n int) Frame { return f.grow(max(0, n-len(f))) }

// fix fills in the lengths and checksums of a frame all of whose bytes belong to
// the packet.
func (f Frame) fix() Frame {
	off := f.l3()
	if len(f) <= off {
		return f
	}
	at, proto := len(f), uint8(wire.ProtoNoNext)
	switch binary.BigEndian.Uint16(f[off-2:]) {
	case wire.TypeIPv4:
		h := wire.IPv4(f[off:])
		h.SetTotalLen(len(h))
		h.FillChecksum()
		at, proto = off+h.HeaderLen(), h.Proto()
	case wire.TypeIPv6:
		h := wire.IPv6(f[off:])
		h.SetPayloadLen(len(h) - wire.IPv6Len)
		c, _ := wire.WalkIPv6Ext(h.NextHeader(), h.Payload())
		at, proto = off+wire.IPv6Len+c.Len, c.Proto
	}
	if proto == wire.ProtoUDP && len(f)-at >= wire.UDPLen {
		wire.UDP(f[at:]).SetLength(len(f) - at)
	}
	wire.FillL4Checksum(f)
	return f
}
