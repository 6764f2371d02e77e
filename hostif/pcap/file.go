package pcap

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/meshnic/meshnic/internal/failure"
)

// counter counts what has been read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// source reads a capture and knows where in it it is.
type source struct {
	name  string
	unit  string // what the offset counts
	count *counter
	buf   *bufio.Reader // the format readers take this one as it is
	read  func() ([]byte, gopacket.CaptureInfo, error)
}

func newSource(name string, r io.Reader) (*source, error) {
	s := &source{name: name, unit: "byte"}
	raw := bufio.NewReader(r)
	if magic, _ := raw.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, s.bad(0, err)
		}
		s.unit = "decompressed byte"
		s.count = &counter{r: z}
	} else {
		s.count = &counter{r: raw}
	}
	s.buf = bufio.NewReader(s.count)
	magic, err := s.buf.Peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("a file of %d bytes is no capture", len(magic))
		}
		return nil, s.bad(0, err)
	}
	var link layers.LinkType
	if [4]byte(magic) == [4]byte{0x0a, 0x0d, 0x0d, 0x0a} { // pcapng §4.1
		ng, err := pcapgo.NewNgReader(s.buf, pcapgo.NgReaderOptions{ErrorOnMismatchingLinkType: true})
		if err != nil {
			if errors.Is(err, io.EOF) { // a section without interfaces: no frames
				s.read = func() ([]byte, gopacket.CaptureInfo, error) { return nil, gopacket.CaptureInfo{}, io.EOF }
				return s, nil
			}
			return nil, s.bad(s.offset(), err)
		}
		link, s.read = ng.LinkType(), ng.ZeroCopyReadPacketData
	} else {
		old, err := pcapgo.NewReader(s.buf)
		if err != nil {
			return nil, s.bad(s.offset(), err)
		}
		link, s.read = old.LinkType(), old.ZeroCopyReadPacketData
	}
	if link != layers.LinkTypeEthernet {
		return nil, s.bad(s.offset(), fmt.Errorf("link type %d (%v), want %d (Ethernet)", link, link, layers.LinkTypeEthernet))
	}
	return s, nil
}

// offset is where the next byte to be parsed stands.
func (s *source) offset() int64 { return s.count.n - int64(s.buf.Buffered()) }

// next returns the next frame, valid until the one after it. whole is false if
// the capture holds only a part of it.
func (s *source) next() (data []byte, at time.Time, whole bool, err error) {
	start := s.offset()
	data, ci, err := s.read()
	switch {
	case errors.Is(err, io.EOF) && s.offset() == start:
		return nil, at, false, io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, at, false, s.bad(start, errors.New("the record that begins here is cut off"))
	case err != nil:
		return nil, at, false, s.bad(start, err)
	}
	return data, ci.Timestamp, ci.Length <= len(data), nil
}

func (s *source) bad(offset int64, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // to a caller of Recv, io.EOF is a good end
	}
	return &failure.Error{
		Kind: failure.BadFile, What: "pcap: read " + s.name, Why: fmt.Sprintf("at %s %d", s.unit, offset), Err: err,
		Next: "give a pcap or pcapng file of Ethernet frames; capinfos or tcpdump -r tells more",
	}
}

// sink writes a pcapng file of one interface.
type sink struct{ w *pcapgo.NgWriter }

func newSink(name string, w io.Writer) (*sink, error) {
	ng, err := pcapgo.NewNgWriterInterface(w,
		pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeEthernet, SnapLength: maxFrame, TimestampResolution: 9},
		pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "meshnic"}})
	if err != nil {
		return nil, err
	}
	return &sink{ng}, nil
}

func (s *sink) write(data []byte, at time.Time) error {
	return s.w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(data), Length: len(data)}, data)
}

func (s *sink) flush() error { return s.w.Flush() }
