package replay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// A pcapng file (draft-ietf-opsawg-pcapng) is blocks: type, length, body, length
// again.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockObsolete  = 2 // a packet, before there was blockEnhanced
	blockSimple    = 3
	blockEnhanced  = 6

	byteOrder = 0x1a2b3c4d

	optComment    = 1
	optName       = 2
	optResolution = 9
	optFCS        = 13
	optShift      = 14
)

// sectionOrder finds the byte order of a section from its first 12 bytes.
func (c *Capture) sectionOrder(b []byte) bool {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if order.Uint32(b[8:]) == byteOrder {
			c.order = order
			return true
		}
	}
	return false
}

// block reads one block. It reports whether it was a frame.
func (c *Capture) block(rec *Record) bool {
	h, ok := c.peek(12)
	if !ok {
		if c.ended = true; len(h) > 0 {
			c.cut(len(h), "a block")
		}
		return false
	}
	section := binary.BigEndian.Uint32(h) == blockSection
	if section && !c.sectionOrder(h) {
		c.malformed("a section whose byte order is %s: what follows cannot be told apart", hex(h[8:12]))
		c.stop()
		return false
	}
	kind, size := c.order.Uint32(h), c.order.Uint32(h[4:])
	packet := kind == blockEnhanced || kind == blockSimple || kind == blockObsolete
	if packet {
		c.Records++
	}
	if size < 12 || size%4 != 0 || size > maxBlock {
		c.malformed("a block says it has %d bytes, want a multiple of 4 from 12 to %d: what follows cannot be told apart", size, maxBlock)
		c.stop()
		return false
	}
	if size > buffered {
		if packet {
			c.malformed("a record of %d bytes, more than any holds", size)
		} else {
			c.OtherBlocks++
		}
		c.hold = int(size)
		return false
	}
	b, ok := c.peek(int(size))
	if !ok {
		c.cut(len(b), fmt.Sprintf("a block of %d", size))
		return false
	}
	c.hold = int(size)
	body := b[8 : size-4]
	if again := c.order.Uint32(b[size-4:]); again != size {
		c.malformed("a block's length is %d at its beginning and %d at its end", size, again)
		return false
	}
	switch kind {
	case blockSection:
		c.faces = c.faces[:0]
		c.comment(body)
		c.OtherBlocks++
	case blockInterface:
		c.face(body)
		c.OtherBlocks++
	case blockEnhanced, blockObsolete, blockSimple:
		return c.packet(rec, kind, body)
	default:
		c.OtherBlocks++
	}
	return false
}

// comment takes the first comment out of a section's options, which are behind byte order,
// version and length.
func (c *Capture) comment(b []byte) {
	for b = b[min(len(b), 16):]; len(b) >= 4; {
		code, n := c.order.Uint16(b), int(c.order.Uint16(b[2:]))
		if code == 0 || n > len(b)-4 {
			break
		}
		if code == optComment && c.Comment == "" {
			c.Comment = string(bytes.TrimRight(b[4:4+n], "\x00"))
		}
		b = b[min(len(b), 4+(n+3)&^3):]
	}
}

// face reads an interface.
func (c *Capture) face(b []byte) {
	f := face{units: 1e6, link: -1}
	if len(b) < 8 {
		c.malformed("an interface of %d bytes", len(b))
		c.faces = append(c.faces, f) // its records count
		return
	}
	f.link, f.snap = int(c.order.Uint16(b)), c.order.Uint32(b[4:])
	for b = b[8:]; len(b) >= 4; {
		code, n := c.order.Uint16(b), int(c.order.Uint16(b[2:]))
		if code == 0 || n > len(b)-4 {
			break
		}
		switch v := b[4 : 4+n]; {
		case code == optName:
			f.name = string(bytes.TrimRight(v, "\x00"))
		case code == optResolution && n == 1:
			f.units = resolution(v[0])
		case code == optFCS && n == 1 && v[0] <= 8:
			f.fcs = int(v[0])
		case code == optShift && n == 8:
			f.shift = int64(c.order.Uint64(v))
		}
		b = b[min(len(b), 4+(n+3)&^3):]
	}
	if f.link != linkEthernet && !slices.Contains(c.LinkTypes, f.link) {
		c.LinkTypes = append(c.LinkTypes, f.link)
	}
	c.faces = append(c.faces, f)
}

// resolution is the units of time in a second; 0 if there are more than fit.
func resolution(v byte) uint64 {
	n := int(v & 0x7f)
	if v&0x80 != 0 {
		if n > 63 {
			return 0
		}
		return 1 << n
	}
	units := uint64(1)
	for range n {
		if units > 1e18 {
			return 0
		}
		units *= 10
	}
	return units
}

// packet reads a record.
func (c *Capture) packet(rec *Record, kind uint32, b []byte) bool {
	head := 20
	if kind == blockSimple {
		head = 4
	}
	if len(b) < head {
		c.malformed("a record of %d bytes", len(b))
		return false
	}
	place, captured, length := uint32(0), uint32(0), uint32(0)
	switch kind {
	case blockEnhanced:
		place = c.order.Uint32(b)
	case blockObsolete:
		place = uint32(c.order.Uint16(b))
	}
	if uint64(place) >= uint64(len(c.faces)) {
		c.malformed("a record of interface %d, there are %d", place, len(c.faces))
		return false
	}
	f := &c.faces[place]
	if kind == blockSimple {
		length = c.order.Uint32(b)
		captured = min(length, uint32(len(b)-head))
		if f.snap > 0 {
			captured = min(captured, f.snap)
		}
	} else {
		captured, length = c.order.Uint32(b[12:]), c.order.Uint32(b[16:])
	}
	if uint64(captured) > uint64(len(b)-head) {
		c.malformed("a record says it holds %d bytes, its block has %d", captured, len(b)-head)
		return false
	}
	rec.Port = int(place)
	if !c.record(rec, f, length, b[head:head+int(captured)]) {
		return false
	}
	if rec.Timed = false; kind == blockSimple {
		c.NoTime++
	} else if rec.At, rec.Timed = f.time(uint64(c.order.Uint32(b[4:]))<<32 | uint64(c.order.Uint32(b[8:]))); !rec.Timed {
		c.BadTime++
	}
	return true
}

// time converts a time stamp to ns since 1970; false if that cannot be said.
func (f *face) time(stamp uint64) (int64, bool) {
	const most = 1 << 33 // s: the year 2242
	if f.units == 0 {
		return 0, false
	}
	s := stamp / f.units
	if s > most || f.shift > most || f.shift < -most || int64(s)+f.shift > most {
		return 0, false
	}
	hi, lo := bits.Mul64(stamp%f.units, 1e9)
	ns, _ := bits.Div64(hi, lo, f.units)
	return (int64(s)+f.shift)*1e9 + int64(ns), true
}
