package hostiftest

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/hostif"
)

// etherTypeTest is IEEE 802's local experimental Ethertype 1: no host answers it.
const etherTypeTest = 0x88b5

// Frame returns a frame of size bytes (14 or more) numbered seq. It is the same
// for the same arguments, and any two differ in most bytes. No host takes it
// for its own.
func Frame(seq uint32, size int) *hostif.Frame {
	b := make([]byte, size)
	copy(b, []byte{0x02, 'd', 's', 't', 0, 1, 0x02, 's'})
	binary.BigEndian.PutUint32(b[8:], seq)
	binary.BigEndian.PutUint16(b[12:], etherTypeTest)
	x := seq*2654435761 + 1
	for i := 14; i < size; i++ {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return &hostif.Frame{Data: b}
}

// Seq returns the number of a frame that Frame made.
func Seq(data []byte) uint32 { return binary.BigEndian.Uint32(data[8:]) }

func isTest(b []byte) bool {
	return isOurs(b) && binary.BigEndian.Uint16(b[12:]) == etherTypeTest
}

func isOurs(b []byte) bool {
	return len(b) >= 14 && b[6] == 0x02 && b[7] == 's' && b[0] == 0x02 && b[1] == 'd'
}

// Unfinished returns a TCP frame with payload bytes behind its headers whose
// checksum is left to do, and with gso (GSOTCPv4 or GSOTCPv6) also its
// segmentation into segments of mss bytes. GSONone makes IPv4.
func Unfinished(gso hostif.GSOType, seq uint32, payload, mss int) *hostif.Frame {
	b := Frame(seq, 14).Data
	tcpLen := 20 + payload
	ip := 20
	if gso == hostif.GSOTCPv6 {
		ip = 40
		binary.BigEndian.PutUint16(b[12:], 0x86dd)
		b = append(b, 0x60, 0, 0, 0, byte(tcpLen>>8), byte(tcpLen), 6, 64)
		b = append(b, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
		b = append(b, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)
	} else {
		binary.BigEndian.PutUint16(b[12:], 0x0800)
		b = append(b, 0x45, 0, byte((20+tcpLen)>>8), byte(20+tcpLen), 0x12, 0x34, 0x40, 0, 64, 6, 0, 0)
		b = append(b, 192, 0, 2, 1, 192, 0, 2, 2) // RFC 5737
		binary.BigEndian.PutUint16(b[24:], ^Sum(0, b[14:34]))
	}
	b = append(b, 0x0f, 0xa0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 5<<4, 0x18, 0xff, 0xff, 0, 0, 0, 0)
	l4 := 14 + ip
	addrs := b[l4-8 : l4]
	if ip == 40 {
		addrs = b[l4-32 : l4]
	}
	binary.BigEndian.PutUint16(b[l4+16:], Sum(uint32(6+tcpLen), addrs)) // pseudo-header
	b = append(b, Frame(seq, 14+payload).Data[14:]...)
	o := hostif.Offload{CsumPartial: true, CsumStart: uint16(l4), CsumOffset: 16}
	if gso != hostif.GSONone {
		o.GSO, o.GSOSize, o.HdrLen = gso, uint16(mss), uint16(l4+20)
	}
	return &hostif.Frame{Data: b, Offload: o}
}

// Sum adds b to an Internet checksum (RFC 1071) and folds it; it is written the
// plain way, so that tests can check the project's own against it.
func Sum(initial uint32, b []byte) uint16 {
	s := uint64(initial)
	for i, c := range b {
		if i%2 == 0 {
			s += uint64(c) << 8
		} else {
			s += uint64(c)
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
