package flowindex

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// Key is a packet's addresses as it carries them, in whatever byte order is
// cheapest to load.
type Key struct {
	SrcHi, SrcLo, DstHi, DstLo uint64
	SrcPort, DstPort           uint16
	VLAN                       uint16
}

// Of is the key of a packet.
func Of(h *datapath.PHV) Key { return Between(&h.IPSrc, &h.IPDst, h.SrcPort, h.DstPort, h.VLAN) }

// Between is the key of a packet from src to dst.
func Between(src, dst *[16]byte, srcPort, dstPort, vlan uint16) Key {
	return Key{
		binary.LittleEndian.Uint64(src[0:8]), binary.LittleEndian.Uint64(src[8:16]),
		binary.LittleEndian.Uint64(dst[0:8]), binary.LittleEndian.Uint64(dst[8:16]),
		srcPort, dstPort, vlan,
	}
}

// Reverse is the key of packets the other way.
func (k Key) Reverse() Key {
	return Key{k.DstHi, k.DstLo, k.SrcHi, k.SrcLo, k.DstPort, k.SrcPort, k.VLAN}
}

// Peek reads the key of a plain TCP frame. It looks only, so that lengths that
// lie do no harm; ports need the header's first four bytes.
func Peek(b []byte) (k Key, ok bool) {
	const least = wire.EthernetLen + wire.IPv4MinLen + 4
	if len(b) < least {
		return k, false
	}
	typ := wire.Ethernet(b).Type()
	if typ == wire.TypeVLAN {
		k.VLAN = wire.VLAN(b[wire.EthernetLen:]).ID()
		typ = wire.VLAN(b[wire.EthernetLen:]).Type()
		b = b[wire.VLANLen:]
	}
	b = b[wire.EthernetLen:]
	switch {
	case typ == wire.TypeIPv4 && len(b) >= wire.IPv4MinLen+4 && b[9] == wire.ProtoTCP:
		const mapped = 0xffff << 16 // bytes 8 to 11 of ::ffff:0:0, as Of loads them
		k.SrcLo = uint64(binary.LittleEndian.Uint32(b[12:16]))<<32 | mapped
		k.DstLo = uint64(binary.LittleEndian.Uint32(b[16:20]))<<32 | mapped
		hl := wire.IPv4(b).HeaderLen()
		if len(b) < hl+4 {
			return k, false
		}
		b = b[hl:]
	case typ == wire.TypeIPv6 && len(b) >= wire.IPv6Len+4 && b[6] == wire.ProtoTCP:
		k.SrcHi, k.SrcLo = binary.LittleEndian.Uint64(b[8:16]), binary.LittleEndian.Uint64(b[16:24])
		k.DstHi, k.DstLo = binary.LittleEndian.Uint64(b[24:32]), binary.LittleEndian.Uint64(b[32:40])
		b = b[wire.IPv6Len:]
	default:
		return k, false
	}
	k.SrcPort = binary.BigEndian.Uint16(b[0:2])
	k.DstPort = binary.BigEndian.Uint16(b[2:4])
	return k, true
}
