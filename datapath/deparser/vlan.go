package deparser

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

const tagOff = 12 // of the outer tag's EtherType: behind the addresses

// writeVLAN makes the outer tag agree with PHV.VLAN: another id, no tag, or a
// new one. It reports whether there was room.
func writeVLAN(p *datapath.Packet) bool {
	h := &p.PHV
	switch tagged := h.Has(datapath.HdrVLAN); {
	case tagged && h.VLAN == 0:
		pop(p)
	case tagged:
		wire.VLAN(p.Data[wire.EthernetLen:]).SetID(h.VLAN)
	case h.VLAN != 0:
		return push(p)
	}
	return true
}

func push(p *datapath.Packet) bool {
	n := len(p.Data)
	if cap(p.Data)-n < wire.VLANLen {
		return false
	}
	p.Data = p.Data[:n+wire.VLANLen]
	copy(p.Data[tagOff+wire.VLANLen:], p.Data[tagOff:n])
	binary.BigEndian.PutUint16(p.Data[tagOff:], wire.TypeVLAN)
	wire.VLAN(p.Data[wire.EthernetLen:]).SetTCI(p.PHV.VLAN)
	p.PHV.Headers |= datapath.HdrVLAN
	shift(&p.PHV, wire.VLANLen)
	return true
}

func pop(p *datapath.Packet) {
	n := copy(p.Data[tagOff:], p.Data[tagOff+wire.VLANLen:])
	p.Data = p.Data[:tagOff+n]
	shift(&p.PHV, -wire.VLANLen)
	if p.PHV.Has(datapath.HdrQinQ) {
		p.PHV.Headers &^= datapath.HdrQinQ
		p.PHV.VLAN = wire.VLAN(p.Data[wire.EthernetLen:]).ID()
		return
	}
	p.PHV.Headers &^= datapath.HdrVLAN
}

// shift moves the offsets of what lies behind the tag.
func shift(h *datapath.PHV, by int) {
	h.L3Off = uint16(int(h.L3Off) + by)
	h.L4Off = uint16(int(h.L4Off) + by)
	h.PayloadOff = uint16(int(h.PayloadOff) + by)
}
