package replay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/meshnic/meshnic/internal/failure"
)

// Lengths in bytes, of frames without FCS.
const (
	maxCaptured = 1 << 18   // of a record that is believed (MAXIMUM_SNAPLEN of libpcap)
	maxBlock    = 1 << 24   // of a pcapng block that is believed
	buffered    = 1 << 20   // of the file at a time; more than a record
	maxFrame    = 1<<16 - 1 // that the model can carry
	jumbo       = 1518      // a longer frame is more than 1500 bytes behind a header with a VLAN tag
	listed      = 20        // problems that are described, and not only counted
)

// Counts is how many records there were, and what was wrong with them. A record
// can be in several counts.
type Counts struct {
	Records     uint64 `json:"records"`
	Frames      uint64 `json:"frames"`               // that can be replayed
	Truncated   uint64 `json:"truncated_records"`    // captured in part; replayed at their length on the wire
	Jumbo       uint64 `json:"jumbo_records"`        // longer than 1518 bytes, replayed
	OutOfOrder  uint64 `json:"out_of_order_records"` // earlier than one before; replayed at the latest time seen
	BadTime     uint64 `json:"bad_time_records"`     // a time that cannot be; replayed at the latest time seen
	NoTime      uint64 `json:"no_time_records"`      // without a time; replayed at the latest time seen
	ZeroLength  uint64 `json:"zero_length_records"`  // not replayed
	TooLong     uint64 `json:"too_long_records"`     // longer than 65535 bytes; not replayed
	Malformed   uint64 `json:"malformed_records"`    // lengths or references that contradict each other; not replayed
	OtherLink   uint64 `json:"other_link_records"`   // of interfaces that are no Ethernet; not replayed
	NoPort      uint64 `json:"no_port_records"`      // of interfaces beyond the ports; not replayed
	CutOff      uint64 `json:"cut_off_records"`      // the file ends inside; not replayed
	OtherBlocks uint64 `json:"other_blocks"`         // of a pcapng file that are no records
	UnreadBytes int64  `json:"unread_bytes"`         // behind a place at which nothing can be told apart
	LinkTypes   []int  `json:"link_types,omitempty"` // of the interfaces that are no Ethernet
}

// Problem is a record that is not replayed as it stands.
type Problem struct {
	Record uint64 `json:"record"`
	Byte   int64  `json:"at_byte"`
	What   string `json:"what"`
}

// Record is one frame of a capture.
type Record struct {
	Number uint32 // from 1
	Port   int    // index of the interface
	Timed  bool   // At is known
	At     int64  // ns since 1970
	Length int    // on the wire, without FCS: 1 … 65535
	Data   []byte // what was captured of it; valid until the next
}

// Capture reads a pcap or pcapng file.
type Capture struct {
	Format  string // pcap or pcapng, and the resolution of a pcap's times
	Comment string // of a pcapng file's first section, once a record has been read
	Counts
	name  string
	r     *bufio.Reader
	off   int64 // of the next byte
	hold  int   // bytes that the last record still needs
	ended bool
	order binary.ByteOrder
	next  func(*Record) (ok bool)
	faces []face
	first []Problem
}

// face is an interface of a capture.
type face struct {
	name  string
	link  int
	snap  uint32
	units uint64 // of a time stamp in a second
	shift int64  // s, to be added
	fcs   int    // bytes at the end of each record
}

const linkEthernet = 1 // LINKTYPE_ registry

// Open reads the head of a capture. What is none is refused, by what its first
// bytes look like.
func Open(r io.Reader, name string) (*Capture, error) {
	c := &Capture{name: name, r: bufio.NewReaderSize(r, buffered)}
	head, err := c.r.Peek(24)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, failure.Wrap(failure.BadFile, err, "read "+name, "check the file")
	}
	if len(head) == 0 {
		return nil, c.refuse("it is empty", "a capture has a header even without frames: was it written to the end?")
	}
	if len(head) >= 12 && binary.BigEndian.Uint32(head) == blockSection {
		if !c.sectionOrder(head) {
			return nil, c.refuse("it begins like pcapng, but its byte order is "+hex(head[8:12]), "capture again")
		}
		c.Format, c.next = "pcapng", c.block
		return c, nil
	}
	if len(head) < 24 || !c.magic(head) {
		why, next := looks(head)
		return nil, c.refuse(why, next)
	}
	return c, c.classic(head)
}

func (c *Capture) refuse(why, next string) error {
	return failure.New(failure.BadFile, "read "+c.name, why, next)
}

// Interfaces are the names of those known so far, "" where there is none.
func (c *Capture) Interfaces() (names []string) {
	for _, f := range c.faces {
		names = append(names, f.name)
	}
	return names
}

// Next reads the next frame that can be replayed; false at the end.
func (c *Capture) Next(rec *Record) bool {
	for !c.ended {
		c.skip(c.hold)
		c.hold = 0
		if c.next(rec) {
			c.Frames++
			return true
		}
	}
	return false
}

// Problems describes the first records that are not replayed as they stand.
func (c *Capture) Problems() []Problem { return c.first }

// record takes a record whose bytes are there. It reports whether it is a frame.
func (c *Capture) record(rec *Record, f *face, length uint32, data []byte) bool {
	switch {
	case f.link != linkEthernet:
		c.OtherLink++
		return false
	case length == 0:
		c.ZeroLength++
		c.problem("a record of 0 bytes")
		return false
	case uint64(len(data)) > uint64(length):
		c.malformed("%d bytes captured of a frame of %d", len(data), length)
		return false
	}
	truncated := len(data) < int(min(length, maxFrame+1))
	n := int64(length) - int64(f.fcs)
	switch {
	case n < 1:
		c.ZeroLength++
		c.problem("a record of nothing but %d bytes of FCS", length)
		return false
	case n > maxFrame:
		c.TooLong++
		c.problem("a frame of %d bytes, the model carries at most %d", n, maxFrame)
		return false
	}
	rec.Number, rec.Length, rec.Data = uint32(c.Records), int(n), data[:min(len(data), int(n))]
	if truncated {
		c.Truncated++
	}
	if n > jumbo {
		c.Jumbo++
	}
	return true
}

func (c *Capture) problem(format string, args ...any) {
	if len(c.first) < listed {
		c.first = append(c.first, Problem{c.Records, c.off, fmt.Sprintf(format, args...)})
	}
}

func (c *Capture) malformed(format string, args ...any) {
	c.Malformed++
	c.problem(format, args...)
}

// peek returns the next n bytes; false if the file ends before, or cannot be read
// further.
func (c *Capture) peek(n int) ([]byte, bool) {
	b, err := c.r.Peek(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.problem("%v", err)
	}
	return b, err == nil
}

// skip goes past n bytes.
func (c *Capture) skip(n int) {
	if n == 0 {
		return
	}
	d, err := c.r.Discard(n)
	c.off += int64(d)
	if err != nil {
		c.ended = true
	}
}

// stop ends the capture here, where what follows cannot be told apart.
func (c *Capture) stop() {
	n, _ := io.Copy(io.Discard, c.r)
	c.UnreadBytes += n
	c.ended = true
}

// cut ends the capture inside a record of which n bytes are there.
func (c *Capture) cut(n int, what string) {
	c.CutOff++
	c.problem("the file ends after %d bytes of %s", n, what)
	c.stop()
}

// looks says what the beginning of a file that is no capture looks like.
func looks(head []byte) (why, next string) {
	const wanted = "give a pcap or pcapng file: tcpdump -w FILE, or meshnic attach --capture FILE"
	for _, k := range []struct{ magic, is, next string }{
		{"\x1f\x8b", "it is compressed with gzip", "gunzip -c FILE | meshnic replay -"},
		{"\x28\xb5\x2f\xfd", "it is compressed with zstd", "zstd -dc FILE | meshnic replay -"},
		{"\xfd7zXZ", "it is compressed with xz", "xz -dc FILE | meshnic replay -"},
		{"BZh", "it is compressed with bzip2", "bunzip2 -c FILE | meshnic replay -"},
		{"PK\x03\x04", "it is a ZIP archive", "take the capture out of it"},
		{"\x7fELF", "it is a program", wanted},
		{"snoop\x00\x00\x00", "it is a snoop capture", "editcap -F pcapng FILE NEW"},
		{"\xa1\xb2\xcd\x34", "it is a capture in Kuznetzov's variant of pcap", "editcap -F pcapng FILE NEW"},
		{"\x34\xcd\xb2\xa1", "it is a capture in Kuznetzov's variant of pcap", "editcap -F pcapng FILE NEW"},
	} {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return k.is, k.next
		}
	}
	if len(head) < 24 && (bytes.HasPrefix([]byte("\xd4\xc3\xb2\xa1"), head[:min(4, len(head))]) || bytes.HasPrefix([]byte("\xa1\xb2\xc3\xd4"), head[:min(4, len(head))])) {
		return fmt.Sprintf("the header of a pcap file has 24 bytes, it ends after %d", len(head)), "capture again"
	}
	text := head
	for len(text) > 0 && !utf8.Valid(text) && len(head)-len(text) < utf8.UTFMax {
		text = text[:len(text)-1] // a character that was cut
	}
	if utf8.Valid(text) && !bytes.ContainsAny(text, "\x00\x01\x02\x03\x04\x05\x06\x07\x08") && len(text) > 0 {
		return fmt.Sprintf("it is no capture but looks like text: %q", text), wanted
	}
	return "it is no capture: its first bytes are " + hex(head[:min(8, len(head))]), wanted
}

func hex(b []byte) string { return fmt.Sprintf("% x", b) }
