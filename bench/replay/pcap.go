package replay

import (
	"encoding/binary"
	"fmt"

	"github.com/meshnic/meshnic/internal/failure"
)

// A pcap file (draft-ietf-opsawg-pcap) is a header of 24 bytes and records of 16
// bytes and the frame.
const (
	pcapHeader = 24
	pcapRecord = 16
	magicMicro = 0xa1b2c3d4
	magicNano  = 0xa1b23c4d
)

// magic finds out byte order and resolution from a pcap's first bytes.
func (c *Capture) magic(head []byte) bool {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(head) {
		case magicMicro:
			c.Format, c.faces = "pcap, microseconds", []face{{units: 1e6}}
		case magicNano:
			c.Format, c.faces = "pcap, nanoseconds", []face{{units: 1e9}}
		default:
			continue
		}
		c.order = order
		return true
	}
	return false
}

// classic reads the header.
func (c *Capture) classic(head []byte) error {
	f := &c.faces[0]
	if major := c.order.Uint16(head[4:]); major != 2 {
		return c.refuse(fmt.Sprintf("it is pcap of version %d.%d, want 2.4", major, c.order.Uint16(head[6:])), "editcap -F pcapng FILE NEW")
	}
	network := c.order.Uint32(head[20:])
	f.link, f.snap = int(network&0x03ff_ffff), c.order.Uint32(head[16:])
	if network&0x0400_0000 != 0 {
		f.fcs = int(network>>28) * 2 // in units of 16 bits
	}
	if f.link != linkEthernet {
		return notEthernet(c.name, f.link)
	}
	c.next = c.pcap
	c.skip(pcapHeader)
	return nil
}

// pcap reads one record.
func (c *Capture) pcap(rec *Record) bool {
	h, ok := c.peek(pcapRecord)
	if !ok {
		if c.ended = true; len(h) > 0 {
			c.Records++
			c.cut(len(h), "a record's header")
		}
		return false
	}
	c.Records++
	sec, frac := c.order.Uint32(h), c.order.Uint32(h[4:])
	captured, length := c.order.Uint32(h[8:]), c.order.Uint32(h[12:])
	if captured > maxCaptured {
		c.malformed("a record says it holds %d bytes, more than any does: what follows cannot be told apart", captured)
		c.stop()
		return false
	}
	b, ok := c.peek(pcapRecord + int(captured))
	if !ok {
		c.cut(len(b), fmt.Sprintf("a record of %d", pcapRecord+captured))
		return false
	}
	c.hold = len(b)
	f := &c.faces[0]
	rec.Port, rec.Timed = 0, uint64(frac) < f.units
	rec.At = int64(sec)*1e9 + int64(uint64(frac)*(1e9/f.units))
	if !c.record(rec, f, length, b[pcapRecord:]) {
		return false
	}
	if !rec.Timed {
		c.BadTime++
	}
	return true
}

// linkNames are the kinds of links that hosts record most, beside Ethernet.
var linkNames = map[int]string{
	0: "BSD loopback", 101: "raw IP", 105: "802.11", 108: "OpenBSD loopback", 113: "Linux cooked", 127: "802.11 with radiotap", 228: "raw IPv4", 229: "raw IPv6", 276: "Linux cooked v2",
}

func linkName(link int) string {
	if name, ok := linkNames[link]; ok {
		return fmt.Sprintf("%d (%s)", link, name)
	}
	return fmt.Sprint(link)
}

func notEthernet(name string, link int) error {
	next := "capture on an Ethernet interface"
	if link == 113 || link == 276 {
		next = "capture on one interface instead of any: tcpdump -i eth0 -w FILE"
	}
	return failure.New(failure.BadFile, "read "+name, "its link type is "+linkName(link)+", the pipeline takes Ethernet (1)", next)
}
