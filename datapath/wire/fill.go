package wire

// maxFillTags bounds how many VLAN tags FillL4Checksum looks behind.
const maxFillTags = 2

// L4 is where an L4 segment lies in a frame and what its checksum covers.
type L4 struct {
	Off, Len int    // of the segment, in bytes from the frame's start
	Proto    uint8  // TCP, UDP, ICMP or ICMPv6
	Pseudo   uint16 // sum of the pseudo-header; 0 for ICMP, which has none
	SumOff   int    // of the checksum field, in bytes from Off
}

// FindL4 finds the L4 segment of a whole, unfragmented IP packet in an Ethernet
// frame. It checks every length it uses, so it may be called on any bytes. It
// fails for frames that are not IP, fragments, source-routed packets (their
// checksum covers another address), protocols other than TCP, UDP, ICMP and
// ICMPv6, and lengths that lie.
func FindL4(frame []byte) (l L4, ok bool) {
	if len(frame) < EthernetLen {
		return l, false
	}
	typ, off := Ethernet(frame).Type(), EthernetLen
	for tags := 0; (typ == TypeVLAN || typ == TypeQinQ) && tags < maxFillTags; tags++ {
		tag := VLAN(frame[off:])
		if !tag.Valid() {
			return l, false
		}
		typ, off = tag.Type(), off+VLANLen
	}
	switch typ {
	case TypeIPv4:
		h := IPv4(frame[off:])
		if !h.Valid() || h.FlagsOffset()&0x3fff != 0 || h.SourceRouted() {
			return l, false
		}
		l = L4{Off: off + h.HeaderLen(), Len: h.TotalLen() - h.HeaderLen(), Proto: h.Proto()}
		if l.Proto != ProtoICMP {
			l.Pseudo = PseudoIPv4(h.Src(), h.Dst(), l.Proto, l.Len)
		}
	case TypeIPv6:
		h := IPv6(frame[off:])
		if !h.Valid() {
			return l, false
		}
		c, ok := WalkIPv6Ext(h.NextHeader(), h.Payload())
		if !ok || c.Fragment || c.More || c.Routed {
			return l, false
		}
		l = L4{Off: off + IPv6Len + c.Len, Len: h.PayloadLen() - c.Len, Proto: c.Proto}
		l.Pseudo = PseudoIPv6(h.Src(), h.Dst(), l.Proto, l.Len)
	default:
		return l, false
	}
	seg := frame[l.Off : l.Off+l.Len]
	switch {
	case l.Proto == ProtoTCP && TCP(seg).Valid():
		l.SumOff = 16
	case l.Proto == ProtoUDP && UDP(seg).Valid():
		// What follows the stated length is not covered, and the pseudo-header
		// holds the stated length.
		n := UDP(seg).Length()
		l.Pseudo = Add16(l.Pseudo, ^uint16(l.Len-n))
		l.Len, l.SumOff = n, 6
	case (l.Proto == ProtoICMP && typ == TypeIPv4 || l.Proto == ProtoICMPv6 && typ == TypeIPv6) && ICMP(seg).Valid():
		l.SumOff = 2
	default:
		return l, false
	}
	return l, true
}

// FillL4Checksum computes the TCP, UDP, ICMP or ICMPv6 checksum of an Ethernet
// frame in full and writes it, whatever the field held: the sum of the
// pseudo-header that a sender with checksum offload leaves there, or a wrong
// sum. It does not matter how the frame came by it. It reports whether there
// was a checksum to fill (FindL4) and leaves the frame alone otherwise.
func FillL4Checksum(frame []byte) bool {
	l, ok := FindL4(frame)
	if !ok {
		return false
	}
	seg := frame[l.Off : l.Off+l.Len]
	seg[l.SumOff], seg[l.SumOff+1] = 0, 0
	sum := ^Sum(seg, l.Pseudo)
	if sum == 0 && l.Proto == ProtoUDP {
		sum = 0xffff // 0 means that there is no checksum (RFC 768)
	}
	seg[l.SumOff], seg[l.SumOff+1] = uint8(sum>>8), uint8(sum)
	return true
}

// L4ChecksumOK reports whether the L4 checksum of an Ethernet frame is right.
// A frame without one that FindL4 finds, and UDP with checksum 0, is right.
func L4ChecksumOK(frame []byte) bool {
	l, ok := FindL4(frame)
	if !ok {
		return true
	}
	seg := frame[l.Off : l.Off+l.Len]
	if l.Proto == ProtoUDP && seg[6]|seg[7] == 0 {
		return true
	}
	return Sum(seg, l.Pseudo) == 0xffff
}
