// Package segment does in software what a frame's sender left for a device to
// do: the L4 checksum, and the segmentation of TCP and UDP superframes. It
// stands between a link with offloads and one without.
package segment

import (
	"encoding/binary"
	"fmt"

	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/hostif"
)

const (
	cwr = 0x80 // TCP flags, RFC 3168
	psh = 0x08
	fin = 0x01

	csumMangled0 = 0xffff // a sum of zero as UDP must send it (RFC 768); the same to TCP
)

// Finish emits f as finished frames, in order. A finished frame is emitted as it
// is; one that lacks its checksum only is completed in place; a superframe is
// cut into frames in new memory, which the receiver of emit may keep. If it
// returns an error, it has emitted nothing.
//
// mtu is the largest L3 packet in bytes that the frames may hold; 0 does not
// check. Segments are cut as Linux cuts them: the IPv4 identification counts up,
// FIN and PSH go to the last segment, CWR stays on the first.
func Finish(f *hostif.Frame, mtu int, emit func(*hostif.Frame)) error {
	if f.Offload.GSO != hostif.GSONone {
		return cut(f, mtu, emit)
	}
	if f.Offload.CsumPartial {
		if err := Checksum(f); err != nil {
			return err
		}
	}
	f.Offload = hostif.Offload{} // fields without meaning, such as a CsumStart alone
	emit(f)
	return nil
}

// Checksum completes the L4 checksum of a frame that is no superframe, in place.
func Checksum(f *hostif.Frame) error {
	if !f.Offload.CsumPartial || f.Offload.GSO != hostif.GSONone {
		return fmt.Errorf("segment: no frame that lacks its checksum only: %+v", f.Offload)
	}
	start, at := int(f.Offload.CsumStart), int(f.Offload.CsumStart)+int(f.Offload.CsumOffset)
	if at+2 > len(f.Data) {
		return fmt.Errorf("segment: checksum field at %d of a frame of %d bytes", at, len(f.Data))
	}
	sum := wire.Checksum(f.Data[start:]) // the field holds the pseudo-header's
	if sum == 0 {
		sum = csumMangled0
	}
	binary.BigEndian.PutUint16(f.Data[at:], sum)
	f.Offload = hostif.Offload{}
	return nil
}

// shape is where the headers of a superframe lie, in bytes from its start.
type shape struct {
	l3, l4, hdr int
	v6, udp     bool
}

func parse(f *hostif.Frame) (shape, error) {
	typ := f.Offload.GSO &^ hostif.GSOECN
	s := shape{udp: typ == hostif.GSOUDPL4}
	if typ == hostif.GSOUDP {
		return s, fmt.Errorf("segment: UDP fragmentation offload is not supported")
	}
	d := f.Data
	l, ok := wire.FindL4(d)
	if !ok {
		return s, fmt.Errorf("segment: superframe of %d bytes without valid IP and L4 headers", len(d))
	}
	s.l3, s.l4 = wire.EthernetLen, l.Off
	for etherType := binary.BigEndian.Uint16(d[12:]); etherType != wire.TypeIPv4; etherType = binary.BigEndian.Uint16(d[s.l3-2:]) {
		if s.v6 = etherType == wire.TypeIPv6; s.v6 {
			break
		}
		s.l3 += wire.VLANLen
	}
	want := uint8(wire.ProtoTCP)
	s.hdr = s.l4 + wire.UDPLen
	if s.udp {
		want = wire.ProtoUDP
	} else if l.Proto == wire.ProtoTCP {
		s.hdr = s.l4 + wire.TCP(d[s.l4:]).HeaderLen()
	}
	switch {
	case l.Proto != want, typ == hostif.GSOTCPv4 && s.v6, typ == hostif.GSOTCPv6 && !s.v6:
		return s, fmt.Errorf("segment: segmentation type %d of IP protocol %d (IPv6: %t)", typ, l.Proto, s.v6)
	case l.Off+l.Len != len(d):
		// What lies behind the packet would end up in the last segment.
		return s, fmt.Errorf("segment: superframe of %d bytes whose headers say %d", len(d), l.Off+l.Len)
	case f.Offload.GSOSize == 0, len(d) <= s.hdr:
		return s, fmt.Errorf("segment: %d bytes of payload in segments of %d", len(d)-s.hdr, f.Offload.GSOSize)
	}
	return s, nil
}

func cut(f *hostif.Frame, mtu int, emit func(*hostif.Frame)) error {
	s, err := parse(f)
	if err != nil {
		return err
	}
	size := int(f.Offload.GSOSize)
	payload := f.Data[s.hdr:]
	if l3 := s.hdr - s.l3 + min(size, len(payload)); mtu > 0 && l3 > mtu {
		return fmt.Errorf("segment: segments of %d bytes of L3 on an MTU of %d", l3, mtu)
	}
	count := (len(payload) + size - 1) / size
	mem := make([]byte, len(payload)+count*s.hdr)
	frames := make([]hostif.Frame, count)
	for i := range frames {
		off := i * size
		n := min(size, len(payload)-off)
		d := mem[: s.hdr+n : s.hdr+n]
		mem = mem[s.hdr+n:]
		copy(d, f.Data[:s.hdr])
		copy(d[s.hdr:], payload[off:off+n])
		s.fix(d, i, off, i == count-1)
		if !wire.FillL4Checksum(d) {
			return fmt.Errorf("segment: no checksum can be filled in")
		}
		frames[i].Data = d
	}
	for i := range frames {
		emit(&frames[i])
	}
	return nil
}

// fix writes the lengths, the counters and flags of segment i into its headers.
func (s *shape) fix(d []byte, i, off int, last bool) {
	if s.v6 {
		wire.IPv6(d[s.l3:]).SetPayloadLen(len(d) - s.l3 - wire.IPv6Len)
	} else {
		h := wire.IPv4(d[s.l3:])
		h.SetTotalLen(len(d) - s.l3)
		h.SetID(h.ID() + uint16(i))
		h.FillChecksum()
	}
	if s.udp {
		wire.UDP(d[s.l4:]).SetLength(len(d) - s.l4)
		return
	}
	h := wire.TCP(d[s.l4:])
	h.SetSeq(h.Seq() + wire.Seq(off))
	flags := h.Flags()
	if !last {
		flags &^= psh | fin
	}
	if i > 0 {
		flags &^= cwr
	}
	h.SetFlags(flags)
}
