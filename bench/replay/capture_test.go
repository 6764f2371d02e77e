package replay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

// file is a capture that a test writes.
type file struct {
	binary.AppendByteOrder
	order binary.ByteOrder
	b     []byte
}

func little() *file { return &file{AppendByteOrder: binary.LittleEndian, order: binary.LittleEndian} }
func big() *file    { return &file{AppendByteOrder: binary.BigEndian, order: binary.BigEndian} }

func (f *file) u16(v ...uint16) *file {
	for _, x := range v {
		f.b = f.AppendUint16(f.b, x)
	}
	return f
}

func (f *file) u32(v ...uint32) *file {
	for _, x := range v {
		f.b = f.AppendUint32(f.b, x)
	}
	return f
}

// pcap begins a pcap file.
func (f *file) pcap(magic, network uint32) *file {
	return f.u32(magic).u16(2, 4).u32(0, 0, 1<<18, network)
}

// record adds a record of which data was captured.
func (f *file) record(sec, frac uint32, length int, data []byte) *file {
	f.u32(sec, frac, uint32(len(data)), uint32(length))
	f.b = append(f.b, data...)
	return f
}

// block adds a block of a pcapng file.
func (f *file) block(kind uint32, body []byte) *file {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	f.u32(kind, uint32(len(body)+12))
	f.b = append(f.b, body...)
	return f.u32(uint32(len(body) + 12))
}

// like is an empty file of the same byte order.
func (f *file) like() *file { return &file{AppendByteOrder: f.AppendByteOrder, order: f.order} }

func (f *file) section() *file {
	return f.block(blockSection, f.like().u32(byteOrder).u16(1, 0).u32(0xffffffff, 0xffffffff).b)
}

// face adds an interface with options of one byte each.
func (f *file) face(link uint16, options map[uint16]byte) *file {
	b := f.like().u16(link, 0).u32(1 << 18)
	for code, v := range options {
		b.u16(code, 1)
		b.b = append(b.b, v, 0, 0, 0)
	}
	return f.block(blockInterface, b.u16(0, 0).b)
}

// enhanced adds a record of interface face at a time.
func (f *file) enhanced(face uint32, stamp uint64, length int, data []byte) *file {
	b := f.like().u32(face, uint32(stamp>>32), uint32(stamp), uint32(len(data)), uint32(length))
	return f.block(blockEnhanced, append(b.b, data...))
}

// bytesOf is n bytes of a frame.
func bytesOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i + 1)
	}
	return b
}

// read is all frames of a capture.
func read(t testing.TB, b []byte) (*Capture, []Record) {
	c, err := Open(bytes.NewReader(b), "test")
	require.NoError(t, err)
	var all []Record
	for rec := (Record{}); c.Next(&rec); {
		x := rec
		x.Data = bytes.Clone(rec.Data)
		all = append(all, x)
	}
	return c, all
}

func TestCapture(t *testing.T) {
	f60 := bytesOf(60)
	for _, tt := range []struct {
		name string
		file *file
		want Counts
		at   []int64 // ns
		ids  []uint32
	}{
		{"microseconds", little().pcap(magicMicro, 1).record(5, 7, 60, f60), Counts{Records: 1, Frames: 1}, []int64{5_000_007_000}, []uint32{1}},
		{"nanoseconds, big-endian", big().pcap(magicNano, 1).record(5, 7, 60, f60), Counts{Records: 1, Frames: 1}, []int64{5_000_000_007}, []uint32{1}},
		{"no records", little().pcap(magicMicro, 1), Counts{}, nil, nil},
		{"zero length", little().pcap(magicMicro, 1).record(1, 0, 0, nil).record(2, 0, 60, f60), Counts{Records: 2, Frames: 1, ZeroLength: 1}, []int64{2e9}, []uint32{2}},
		{"truncated", little().pcap(magicMicro, 1).record(1, 0, 1514, f60).record(1, 0, 60, nil), Counts{Records: 2, Frames: 2, Truncated: 2}, []int64{1e9, 1e9}, []uint32{1, 2}},
		{"jumbo", little().pcap(magicMicro, 1).record(1, 0, 1518, bytesOf(1518)).record(1, 0, 1519, bytesOf(1519)).record(1, 0, 65535, f60).record(1, 0, 65536, f60), Counts{Records: 4, Frames: 3, Jumbo: 2, Truncated: 1, TooLong: 1}, []int64{1e9, 1e9, 1e9}, []uint32{1, 2, 3}},
		{"more captured than there was", little().pcap(magicMicro, 1).record(1, 0, 59, f60).record(1, 0, 60, f60), Counts{Records: 2, Frames: 1, Malformed: 1}, []int64{1e9}, []uint32{2}},
		{"a time that cannot be", little().pcap(magicMicro, 1).record(1, 1e6, 60, f60), Counts{Records: 1, Frames: 1, BadTime: 1}, []int64{0}, []uint32{1}},
		{"cut in a record", &file{b: little().pcap(magicMicro, 1).record(1, 0, 60, f60).record(1, 0, 60, f60).b[:24+76+40]}, Counts{Records: 2, Frames: 1, CutOff: 1, UnreadBytes: 40}, []int64{1e9}, []uint32{1}},
		{"cut in a record's header", &file{b: little().pcap(magicMicro, 1).record(1, 0, 60, f60).b[:24+7]}, Counts{Records: 1, CutOff: 1, UnreadBytes: 7}, nil, nil},
		{"a record longer than any", little().pcap(magicMicro, 1).record(1, 0, 60, f60).u32(1, 0, 0xffffffff, 60, 1, 2, 3), Counts{Records: 2, Frames: 1, Malformed: 1, UnreadBytes: 28}, []int64{1e9}, []uint32{1}},
		{"FCS of 4 bytes in a pcap", little().pcap(magicMicro, 1|0x2400_0000).record(1, 0, 64, bytesOf(64)).record(1, 0, 4, bytesOf(4)), Counts{Records: 2, Frames: 1, ZeroLength: 1}, []int64{1e9}, []uint32{1}},

		{"pcapng", little().section().face(1, nil).enhanced(0, 3_000_001, 60, f60), Counts{Records: 1, Frames: 1, OtherBlocks: 2}, []int64{3_000_001_000}, []uint32{1}},
		{"pcapng, big-endian, resolutions", big().section().face(1, map[uint16]byte{optResolution: 9}).face(1, map[uint16]byte{optResolution: 0x80 | 10}).
			enhanced(0, 3_000_000_001, 60, f60).enhanced(1, 1024+512, 60, f60), Counts{Records: 2, Frames: 2, OtherBlocks: 3}, []int64{3_000_000_001, 1_500_000_000}, []uint32{1, 2}},
		{"resolutions that cannot be", little().section().face(1, map[uint16]byte{optResolution: 127}).face(1, map[uint16]byte{optResolution: 0xff}).
			enhanced(0, 1, 60, f60).enhanced(1, 1, 60, f60), Counts{Records: 2, Frames: 2, BadTime: 2, OtherBlocks: 3}, []int64{0, 0}, []uint32{1, 2}},
		{"a time beyond all", little().section().face(1, nil).enhanced(0, 1<<64-1, 60, f60), Counts{Records: 1, Frames: 1, BadTime: 1, OtherBlocks: 2}, []int64{0}, []uint32{1}},
		{"sections of both byte orders", &file{b: append(little().section().face(1, nil).enhanced(0, 1e6, 60, f60).b, big().section().face(1, nil).enhanced(0, 2e6, 60, f60).b...)},
			Counts{Records: 2, Frames: 2, OtherBlocks: 4}, []int64{1e9, 2e9}, []uint32{1, 2}},
		{"an interface that is not there", little().section().enhanced(0, 1, 60, f60).face(1, nil).enhanced(0, 1e6, 60, f60), Counts{Records: 2, Frames: 1, Malformed: 1, OtherBlocks: 2}, []int64{1e9}, []uint32{2}},
		{"an interface that is no Ethernet", little().section().face(1, nil).face(113, nil).enhanced(1, 1, 60, f60).enhanced(0, 1e6, 60, f60),
			Counts{Records: 2, Frames: 1, OtherLink: 1, OtherBlocks: 3, LinkTypes: []int{113}}, []int64{1e9}, []uint32{2}},
		{"a simple record", little().section().face(1, nil).block(blockSimple, append(little().u32(60).b, f60...)), Counts{Records: 1, Frames: 1, NoTime: 1, OtherBlocks: 2}, []int64{0}, []uint32{1}},
		{"an obsolete record", little().section().face(1, nil).block(blockObsolete, append(little().u16(0, 0).u32(0, 1e6, 60, 60).b, f60...)), Counts{Records: 1, Frames: 1, OtherBlocks: 2}, []int64{1e9}, []uint32{1}},
		{"unknown blocks", little().section().block(0xbad, f60).face(1, nil).block(5, nil).enhanced(0, 1e6, 60, f60), Counts{Records: 1, Frames: 1, OtherBlocks: 4}, []int64{1e9}, []uint32{1}},
		{"a record longer than its block", little().section().face(1, nil).block(blockEnhanced, little().u32(0, 0, 1, 60, 60, 1).b).enhanced(0, 1e6, 60, f60), Counts{Records: 2, Frames: 1, Malformed: 1, OtherBlocks: 2}, []int64{1e9}, []uint32{2}},
		{"a record without a head", little().section().face(1, nil).block(blockEnhanced, nil).enhanced(0, 1e6, 60, f60), Counts{Records: 2, Frames: 1, Malformed: 1, OtherBlocks: 2}, []int64{1e9}, []uint32{2}},
		{"an interface cut short", little().section().block(blockInterface, nil).enhanced(0, 1, 60, f60), Counts{Records: 1, Malformed: 1, OtherLink: 1, OtherBlocks: 2}, nil, nil},
		{"lengths that differ", &file{b: spoil(little().section().face(1, nil).enhanced(0, 1, 60, f60).enhanced(0, 1e6, 60, f60).b, 28+24+92-4)}, Counts{Records: 2, Frames: 1, Malformed: 1, OtherBlocks: 2}, []int64{1e9}, []uint32{2}},
		{"a length that cannot be", &file{b: spoil(little().section().face(1, nil).enhanced(0, 1, 60, f60).b, 28+24+4)}, Counts{Records: 1, Malformed: 1, OtherBlocks: 2, UnreadBytes: 92}, nil, nil},
		{"cut in a block", &file{b: little().section().face(1, nil).enhanced(0, 1, 60, f60).b[:28+24+50]}, Counts{Records: 1, CutOff: 1, OtherBlocks: 2, UnreadBytes: 50}, nil, nil},
		{"FCS in pcapng", little().section().face(1, map[uint16]byte{optFCS: 4}).enhanced(0, 1e6, 64, bytesOf(64)), Counts{Records: 1, Frames: 1, OtherBlocks: 2}, []int64{1e9}, []uint32{1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, all := read(t, tt.file.b)
			require.Equal(t, tt.want, c.Counts)
			var at []int64
			var ids []uint32
			for _, rec := range all {
				ids = append(ids, rec.Number)
				if !rec.Timed {
					rec.At = 0
				}
				at = append(at, rec.At)
				require.LessOrEqual(t, len(rec.Data), rec.Length)
				require.Equal(t, bytesOf(len(rec.Data)), rec.Data)
			}
			require.Equal(t, tt.at, at)
			require.Equal(t, tt.ids, ids)
			for _, p := range c.Problems() {
				require.NotEmpty(t, p.What)
			}
			wrong := tt.want.ZeroLength + tt.want.TooLong + tt.want.Malformed + tt.want.CutOff
			require.Len(t, c.Problems(), int(wrong), "each is described")
		})
	}
}

// spoil adds 1 to a byte.
func spoil(b []byte, at int) []byte {
	b[at]++
	return b
}

func TestFCSIsTakenOff(t *testing.T) {
	for name, f := range map[string]*file{
		"pcap":   little().pcap(magicMicro, 1|0x2400_0000).record(1, 0, 64, bytesOf(64)).record(1, 0, 64, bytesOf(62)),
		"pcapng": little().section().face(1, map[uint16]byte{optFCS: 4}).enhanced(0, 1e6, 64, bytesOf(64)).enhanced(0, 1e6, 64, bytesOf(62)),
	} {
		t.Run(name, func(t *testing.T) {
			_, all := read(t, f.b)
			require.Len(t, all, 2)
			for _, rec := range all {
				require.Equal(t, 60, rec.Length)
				require.Len(t, rec.Data, 60)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		want string
		next string
	}{
		"empty":               {"", "it is empty", "a capture has a header"},
		"gzip":                {"\x1f\x8b\x08\x00" + strings.Repeat("x", 40), "compressed with gzip", "gunzip"},
		"zstd":                {"\x28\xb5\x2f\xfd" + strings.Repeat("x", 40), "compressed with zstd", "zstd -dc"},
		"text":                {"# a list of things that are no packets", `looks like text: "# a list of things`, "tcpdump"},
		"short text":          {"no", `looks like text: "no"`, "tcpdump"},
		"program":             {"\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 40), "it is a program", "tcpdump"},
		"other bytes":         {strings.Repeat("\x00\xff\x12", 20), "its first bytes are 00 ff 12 00 ff 12 00 ff", "tcpdump"},
		"header cut":          {"\xd4\xc3\xb2\xa1\x02\x00", "the header of a pcap file has 24 bytes, it ends after 6", "capture again"},
		"version":             {string(little().u32(magicMicro).u16(1, 0).u32(0, 0, 0, 1).b), "version 1.0", "editcap"},
		"byte order":          {string(little().u32(blockSection, 28, 0x12345678, 0, 0, 0, 28).b), "byte order is 78 56 34 12", "capture again"},
		"link type of any":    {string(little().pcap(magicMicro, 113).b), "link type is 113 (Linux cooked), the pipeline takes Ethernet", "tcpdump -i eth0"},
		"link type of a Wifi": {string(big().pcap(magicNano, 127).b), "link type is 127 (802.11 with radiotap)", "Ethernet interface"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(strings.NewReader(tt.file), "x.pcap")
			require.ErrorContains(t, err, "read x.pcap: ")
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, tt.next)
			require.Equal(t, failure.BadFile, failure.KindOf(err))
		})
	}
}

// broken fails in the middle of a file.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = fmt.Errorf("the disk is gone")
	}
	return n, err
}

func TestReadError(t *testing.T) {
	c, err := Open(broken{bytes.NewReader(little().pcap(magicMicro, 1).record(1, 0, 60, bytesOf(60)).record(2, 0, 60, bytesOf(60)).b[:24+76+30])}, "x")
	require.NoError(t, err)
	var rec Record
	require.True(t, c.Next(&rec))
	require.False(t, c.Next(&rec))
	require.Contains(t, c.Problems()[0].What, "the disk is gone")
	require.Equal(t, uint64(1), c.CutOff)
}

func TestReadingAllocatesNothing(t *testing.T) {
	f, g := little().pcap(magicMicro, 1), little().section().face(1, nil)
	for range 20_000 {
		f.record(1, 0, 64, bytesOf(64))
		g.enhanced(0, 1, 64, bytesOf(64))
	}
	for _, b := range [][]byte{f.b, g.b} {
		c, err := Open(bytes.NewReader(b), "x")
		require.NoError(t, err)
		var rec Record
		require.Zero(t, testing.AllocsPerRun(10_000, func() { c.Next(&rec) }))
		require.Equal(t, uint64(10_001), c.Frames)
	}
}

// FuzzCapture reads what it is given: it must not panic, counts every record
// once, and finds the frames that pcapgo finds in a pcap file.
func FuzzCapture(f *testing.F) {
	f60 := bytesOf(60)
	f.Add(little().pcap(magicMicro, 1).record(1, 0, 60, f60).record(1, 2, 1514, f60).record(1, 3, 0, nil).b)
	f.Add(big().pcap(magicNano, 1|0x2400_0000).record(1, 0, 64, f60).b)
	f.Add(little().section().face(1, map[uint16]byte{optResolution: 9, optFCS: 4}).enhanced(0, 1, 60, f60).block(blockSimple, append(little().u32(60).b, f60...)).b)
	f.Add(big().section().face(113, nil).face(1, nil).enhanced(1, 1, 60, f60).block(5, f60).b)
	f.Add([]byte("no capture"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Open(bytes.NewReader(b), "x")
		if err != nil {
			return
		}
		var rec Record
		frames, last := uint64(0), uint32(0)
		var found [][]byte
		for c.Next(&rec) {
			frames++
			if rec.Number <= last || rec.Length < 1 || rec.Length > maxFrame || len(rec.Data) > rec.Length {
				t.Fatalf("frame %+v after %d", rec, last)
			}
			last = rec.Number
			found = append(found, bytes.Clone(rec.Data))
		}
		lost := c.ZeroLength + c.TooLong + c.Malformed + c.OtherLink + c.CutOff
		if frames != c.Frames || c.Records < frames || c.Records > frames+lost {
			t.Fatalf("%d frames, counts %+v", frames, c.Counts)
		}
		if c.Format != "pcapng" && c.faces[0].fcs == 0 && c.Malformed+c.CutOff+c.TooLong == 0 {
			agree(t, b, c, found)
		}
	})
}

// agree compares with pcapgo.
func agree(t *testing.T, b []byte, c *Capture, found [][]byte) {
	r, err := pcapgo.NewReader(bytes.NewReader(b))
	if err != nil {
		return // it is stricter
	}
	for i := 0; i < len(found); {
		data, ci, err := r.ReadPacketData()
		if err != nil {
			return
		}
		if ci.Length == 0 {
			continue
		}
		if !bytes.Equal(data, found[i]) {
			t.Fatalf("frame %d is %x, pcapgo has %x; counts %+v", i, found[i], data, c.Counts)
		}
		i++
	}
}
