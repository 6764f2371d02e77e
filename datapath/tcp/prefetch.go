package tcp

import (
	"encoding/binary"
	"unsafe"

	"github.com/meshnic/meshnic/datapath/wire"
)

// A Hint says where in memory the flow of a frame may be. The zero Hint is none.
type Hint uint64

// Hint and Warm bring the flows of a batch of frames near before the frames are
// processed: Hint each frame, then Warm each Hint, then Process each packet. With
// a million flows nearly every frame's flow is far away, twice, once in the index
// and once in the table, and without them Process waits for both. They change
// nothing but how long Process takes: frames need not be valid, and a wrong or a
// missing Hint is harmless.
//
// A frame without a Hint is one that is not TCP right behind Ethernet, at most
// one VLAN tag, and IP.
func (t *Tracker) Hint(frame []byte) Hint {
	k, ok := peek(frame)
	if !ok {
		return 0
	}
	hash := t.table.hash(&k)
	prefetch(unsafe.Pointer(&t.table.index[hash>>t.table.shift]))
	return Hint(hash)
}

// Warm goes from the index to the flow. See Hint.
func (t *Tracker) Warm(h Hint) {
	if h == 0 {
		return
	}
	hash, mask := uint64(h), uint64(len(t.table.index)-1)
	tag, number := t.table.tag(hash), uint32(1)<<t.table.numbits-1
	for i := hash >> t.table.shift; ; i++ {
		v := t.table.index[i&mask]
		if v == 0 {
			return
		}
		if v&^number == tag {
			prefetchEntry(unsafe.Pointer(&t.table.entries[v&number-1]))
			return
		}
	}
}

// peek reads the key of a plain TCP frame. It looks only, so that lengths that
// lie do no harm; ports need the header's first four bytes.
func peek(b []byte) (k key, ok bool) {
	const least = wire.EthernetLen + wire.IPv4MinLen + 4
	if len(b) < least {
		return k, false
	}
	typ := wire.Ethernet(b).Type()
	if typ == wire.TypeVLAN {
		k.vlan = wire.VLAN(b[wire.EthernetLen:]).ID()
		typ = wire.VLAN(b[wire.EthernetLen:]).Type()
		b = b[wire.VLANLen:]
	}
	b = b[wire.EthernetLen:]
	switch {
	case typ == wire.TypeIPv4 && len(b) >= wire.IPv4MinLen+4 && b[9] == wire.ProtoTCP:
		const mapped = 0xffff << 16 // bytes 8 to 11 of ::ffff:0:0, as keyOf loads them
		k.srcLo = uint64(binary.LittleEndian.Uint32(b[12:16]))<<32 | mapped
		k.dstLo = uint64(binary.LittleEndian.Uint32(b[16:20]))<<32 | mapped
		hl := wire.IPv4(b).HeaderLen()
		if len(b) < hl+4 {
			return k, false
		}
		b = b[hl:]
	case typ == wire.TypeIPv6 && len(b) >= wire.IPv6Len+4 && b[6] == wire.ProtoTCP:
		k.srcHi, k.srcLo = binary.LittleEndian.Uint64(b[8:16]), binary.LittleEndian.Uint64(b[16:24])
		k.dstHi, k.dstLo = binary.LittleEndian.Uint64(b[24:32]), binary.LittleEndian.Uint64(b[32:40])
		b = b[wire.IPv6Len:]
	default:
		return k, false
	}
	k.srcPort = binary.BigEndian.Uint16(b[0:2])
	k.dstPort = binary.BigEndian.Uint16(b[2:4])
	return k, true
}
