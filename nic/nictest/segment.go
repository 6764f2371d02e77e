package nictest

import (
	"bytes"

	"github.com/meshnic/meshnic/datapath/wire"
)

// ipv4TCP returns the views of a frame that is a whole IPv4 TCP segment and nothing
// else.
func ipv4TCP(frame []byte) (ip wire.IPv4, t wire.TCP, ok bool) {
	if e := wire.Ethernet(frame); !e.Valid() || e.Type() != wire.TypeIPv4 {
		return nil, nil, false
	}
	ip = wire.IPv4(frame[wire.EthernetLen:])
	if !ip.Valid() || ip.Proto() != wire.ProtoTCP || ip.MoreFragments() || ip.FragmentOffset() != 0 || ip.TotalLen() != len(ip) {
		return nil, nil, false
	}
	t = wire.TCP(ip.Payload())
	return ip, t, t.Valid()
}

// tcpOf returns the addresses and the segment of a frame that is whole, of either IP.
func tcpOf(frame []byte) (src, dst [16]byte, t wire.TCP, ok bool) {
	if ip, t, ok := ipv4TCP(frame); ok {
		return wire.MapIPv4(ip.Src()), wire.MapIPv4(ip.Dst()), t, true
	}
	l, ok := wire.FindL4(frame)
	if !ok || l.Proto != wire.ProtoTCP || wire.Ethernet(frame).Type() != wire.TypeIPv6 {
		return src, dst, nil, false
	}
	ip := wire.IPv6(frame[wire.EthernetLen:])
	return ip.Src(), ip.Dst(), wire.TCP(frame[l.Off:][:l.Len]), true
}

// sound is ipv4TCP for what is to be rebuilt: with checksums that are right, for new
// ones would hide that they were not.
func sound(frame []byte) (ip wire.IPv4, t wire.TCP, ok bool) {
	ip, t, ok = ipv4TCP(frame)
	return ip, t, ok && ip.ChecksumOK() && wire.L4ChecksumOK(frame)
}

// build returns a frame with the headers of like and other options, payload and
// flags.
func build(like []byte, options, payload []byte, flags wire.TCPFlags) []byte {
	ip, _, _ := ipv4TCP(like)
	at := wire.EthernetLen + ip.HeaderLen()
	f := make([]byte, 0, at+wire.TCPMinLen+len(options)+len(payload)+3)
	f = append(f, like[:at+wire.TCPMinLen]...)
	f = append(f, options...)
	for (len(f)-at)%4 != 0 {
		f = append(f, byte(wire.OptEnd))
	}
	headerLen := len(f) - at
	f = append(f, payload...)
	n := wire.IPv4(f[wire.EthernetLen:])
	n.SetTotalLen(len(f) - wire.EthernetLen)
	n.FillChecksum()
	t := wire.TCP(f[at:])
	t.SetHeaderLen(headerLen)
	t.SetFlags(flags)
	finish(f)
	return f
}

// finish fills the checksums in.
func finish(f []byte) {
	wire.IPv4(f[wire.EthernetLen:]).FillChecksum()
	wire.FillL4Checksum(f)
}

// withoutOptions returns a SYN without options of these kinds, as one of a host that
// doesn't know them; every other frame as it is.
func withoutOptions(frame []byte, scale, timestamps bool) []byte {
	_, t, ok := sound(frame)
	if !ok || !t.Flags().Has(wire.SYN) {
		return frame
	}
	var kept []byte
	var o wire.TCPOption
	for it := wire.TCPOptions(t.Options()); it.Next(&o); {
		if scale && o.Kind == wire.OptWindowScale || timestamps && o.Kind == wire.OptTimestamps {
			continue
		}
		kept = append(kept, byte(o.Kind), byte(2+len(o.Data)))
		kept = append(kept, o.Data...)
	}
	return build(frame, kept, t.Payload(), t.Flags())
}

// split cuts a segment in two behind n bytes of its payload, as segmentation does:
// PSH and FIN go with the second.
func split(frame []byte, n int) (first, second []byte) {
	ip, t, _ := ipv4TCP(frame)
	last := wire.PSH | wire.FIN
	first = build(frame, t.Options(), t.Payload()[:n], t.Flags()&^last)
	second = build(frame, t.Options(), t.Payload()[n:], t.Flags())
	ip2, t2, _ := ipv4TCP(second)
	ip2.SetID(ip.ID() + 1)
	t2.SetSeq(t.Seq().Add(uint32(n)))
	finish(second)
	return first, second
}

// merge returns one segment for two that follow each other in one flow and differ
// in nothing else, as receive offload makes them, if it has at most limit bytes.
// A FIN of the second is kept.
func merge(a, b []byte, limit int) (frame []byte, ok bool) {
	ipA, x, ok := sound(a)
	if !ok {
		return nil, false
	}
	ipB, y, ok := sound(b)
	if !ok || ipA.Src() != ipB.Src() || ipA.Dst() != ipB.Dst() || !bytes.Equal(x[0:4], y[0:4]) {
		return nil, false
	}
	const odd = wire.SYN | wire.RST | wire.URG
	switch {
	case x.Flags()&(odd|wire.FIN) != 0 || y.Flags()&odd != 0,
		len(x.Payload()) == 0,
		len(y.Payload()) == 0 && !y.Flags().Has(wire.FIN),
		x.Seq().Add(uint32(len(x.Payload()))) != y.Seq(),
		x.Ack() != y.Ack(), x.Window() != y.Window(),
		!bytes.Equal(x.Options(), y.Options()),
		len(a)+len(y.Payload()) > limit:
		return nil, false
	}
	payload := append(append([]byte(nil), x.Payload()...), y.Payload()...)
	return build(a, x.Options(), payload, x.Flags()|y.Flags()), true
}

// corrupt changes one byte behind the Ethernet header of an IPv4 frame. A change of
// one byte never leaves the ones' complement sum over it as it was, so that a
// receiver that checks can tell; two may, and so a frame whose checksums are wrong
// already is left alone. ARP has no checksum.
func corrupt(frame []byte, pick uint64) bool {
	e := wire.Ethernet(frame)
	if !e.Valid() || e.Type() != wire.TypeIPv4 {
		return false
	}
	ip := wire.IPv4(e.Payload())
	if !ip.Valid() || !ip.ChecksumOK() || !wire.L4ChecksumOK(frame) {
		return false
	}
	if _, _, ok := ipv4TCP(frame); ip.Proto() == wire.ProtoTCP && !ok {
		return false // its header's length lies: nothing was summed
	}
	body := ip[:ip.TotalLen()] // padding is no one's
	body[(pick>>8)%uint64(len(body))] ^= 1 + byte(pick%255)
	return true
}
