package hostif

import (
	"encoding/binary"
	"fmt"
)

// VnetHdrLen is the size of struct virtio_net_hdr (linux/virtio_net.h) in
// bytes, which TAP and AF_PACKET put before a frame. Its fields have the host's
// byte order.
const VnetHdrLen = 10

const vnetNeedsCsum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM

// PutVnetHdr encodes o into the first VnetHdrLen bytes of b.
func PutVnetHdr(b []byte, o *Offload) {
	_ = b[VnetHdrLen-1]
	b[0] = 0
	if o.CsumPartial {
		b[0] = vnetNeedsCsum
	}
	b[1] = byte(o.GSO)
	binary.NativeEndian.PutUint16(b[2:], o.HdrLen)
	binary.NativeEndian.PutUint16(b[4:], o.GSOSize)
	binary.NativeEndian.PutUint16(b[6:], o.CsumStart)
	binary.NativeEndian.PutUint16(b[8:], o.CsumOffset)
}

// ParseVnetHdr decodes the header hdr of the given frame, and refuses one that
// does not fit the frame or asks for a segmentation that GSOType does not name.
// The kernel's hdr_len is a hint (often all that lies in the first buffer), so
// HdrLen is read from the frame instead where that is possible.
func ParseVnetHdr(hdr, frame []byte) (Offload, error) {
	var o Offload
	_ = hdr[VnetHdrLen-1]
	if hdr[0]&vnetNeedsCsum != 0 {
		o.CsumPartial = true
		o.CsumStart = binary.NativeEndian.Uint16(hdr[6:])
		o.CsumOffset = binary.NativeEndian.Uint16(hdr[8:])
		if int(o.CsumStart)+int(o.CsumOffset)+2 > len(frame) {
			return Offload{}, fmt.Errorf("hostif: checksum field at %d+%d of a frame of %d bytes", o.CsumStart, o.CsumOffset, len(frame))
		}
	}
	o.GSO = GSOType(hdr[1])
	if o.GSO == GSONone {
		return o, nil
	}
	o.GSOSize = binary.NativeEndian.Uint16(hdr[4:])
	o.HdrLen = binary.NativeEndian.Uint16(hdr[2:])
	if o.CsumPartial {
		switch l4 := int(o.CsumStart); o.GSO &^ GSOECN {
		case GSOTCPv4, GSOTCPv6:
			if l4+13 <= len(frame) {
				o.HdrLen = uint16(l4 + int(frame[l4+12]>>4)*4)
			}
		case GSOUDPL4:
			o.HdrLen = uint16(l4 + 8)
		}
	}
	switch {
	case o.GSO&^GSOECN > GSOUDPL4, o.GSO&^GSOECN == 2, o.GSO == GSOECN:
		return Offload{}, fmt.Errorf("hostif: unknown segmentation type %#x", hdr[1])
	case o.GSOSize == 0:
		return Offload{}, fmt.Errorf("hostif: segmentation into segments of 0 bytes")
	case int(o.HdrLen) > len(frame):
		return Offload{}, fmt.Errorf("hostif: headers of %d bytes in a frame of %d", o.HdrLen, len(frame))
	}
	return o, nil
}
