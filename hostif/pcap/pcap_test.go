package pcap

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	oracle "github.com/google/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/internal/failure"
)

var start = time.Unix(1700000000, 123456789).UTC()

// tick is a clock that moves by a nanosecond more each time.
func tick() func() time.Time {
	n := 0
	return func() time.Time { n++; return start.Add(time.Duration(n)) }
}

// write returns a capture of n frames, as the link writes it.
func write(t testing.TB, n int) []byte {
	t.Helper()
	var buf bytes.Buffer
	l, err := New(Config{Name: "w", Out: &buf, Now: tick()})
	require.NoError(t, err)
	for seq := range n {
		got, err := l.Send([]*hostif.Frame{hostiftest.Frame(uint32(seq), 14+seq)})
		require.NoError(t, err)
		require.Equal(t, 1, got)
	}
	st := l.Stats()
	require.EqualValues(t, n, st.TxFrames)
	require.NoError(t, l.Close())
	return buf.Bytes()
}

// read drains a link and checks that what a Recv gave stays until the next.
func read(t testing.TB, l *Link) (frames [][]byte, times []time.Time, end error) {
	t.Helper()
	in := make([]*hostif.Frame, 7)
	for {
		require.True(t, hostiftest.Readable(l.Fd(), 20*time.Second))
		n, err := l.Recv(in)
		if err != nil {
			require.Zero(t, n)
			_, again := l.Recv(in)
			require.Equal(t, err, again, "the end is for good")
			st := l.Stats()
			require.EqualValues(t, len(frames), st.RxFrames)
			return frames, times, err
		}
		require.Len(t, l.Times(), n)
		for i, f := range in[:n] {
			frames = append(frames, append([]byte(nil), f.Data...))
			times = append(times, l.Times()[i])
		}
	}
}

func open(t testing.TB, b []byte) *Link {
	t.Helper()
	l, err := New(Config{Name: "test.pcap", In: bytes.NewReader(b)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(); _, _ = l.Recv(nil) })
	return l
}

func TestRoundTrip(t *testing.T) {
	for _, zipped := range []bool{false, true} {
		b := write(t, 300)
		if zipped {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = w.Write(b)
			require.NoError(t, w.Close())
			b = z.Bytes()
		}
		frames, times, err := read(t, open(t, b))
		require.ErrorIs(t, err, io.EOF)
		require.Len(t, frames, 300)
		for i := range frames {
			require.Equal(t, hostiftest.Frame(uint32(i), 14+i).Data, frames[i])
			require.True(t, start.Add(time.Duration(i+1)).Equal(times[i]), "nanoseconds: %v", times[i])
		}
	}
}

// Another reader agrees with what we write.
func TestWrittenFileIsPcapng(t *testing.T) {
	r, err := oracle.NewNgReader(bytes.NewReader(write(t, 20)), oracle.DefaultNgReaderOptions)
	require.NoError(t, err)
	require.Equal(t, 1, r.NInterfaces())
	for i := range 20 {
		data, ci, err := r.ReadPacketData()
		require.NoError(t, err)
		require.Equal(t, hostiftest.Frame(uint32(i), 14+i).Data, data)
		require.True(t, start.Add(time.Duration(i+1)).Equal(ci.Timestamp))
	}
}

// classic builds a pcap file by hand; nano and big choose its four flavours.
func classic(order binary.ByteOrder, nano bool, link uint32, frames ...[]byte) []byte {
	magic := uint32(0xa1b2c3d4)
	if nano {
		magic = 0xa1b23c4d
	}
	b := make([]byte, 24)
	order.PutUint32(b, magic)
	order.PutUint16(b[4:], 2)
	order.PutUint16(b[6:], 4)
	order.PutUint32(b[16:], 65535)
	order.PutUint32(b[20:], link)
	for _, f := range frames {
		h := make([]byte, 16)
		order.PutUint32(h, 1700000000)
		order.PutUint32(h[4:], 7)
		order.PutUint32(h[8:], uint32(len(f)))
		order.PutUint32(h[12:], uint32(len(f)))
		b = append(append(b, h...), f...)
	}
	return b
}

func TestClassic(t *testing.T) {
	f := hostiftest.Frame(1, 100).Data
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, nano := range []bool{false, true} {
			frames, times, err := read(t, open(t, classic(order, nano, 1, f, f)))
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, [][]byte{f, f}, frames)
			unit := int64(1000)
			if nano {
				unit = 1
			}
			require.True(t, time.Unix(1700000000, 7*unit).Equal(times[0]))
		}
	}
}

func TestSkipsWhatIsNoWholeFrame(t *testing.T) {
	le := binary.LittleEndian
	f := hostiftest.Frame(1, 100).Data
	b := classic(le, false, 1, f, f[:13], f, nil, f)
	le.PutUint32(b[24+12:], 101) // the first was 101 bytes on the wire
	l := open(t, b)
	frames, _, err := read(t, l)
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, frames, 2)
	require.EqualValues(t, 3, l.Stats().RxDropBad)
}

func TestMalformed(t *testing.T) {
	le := binary.LittleEndian
	f := hostiftest.Frame(1, 100).Data
	good := classic(le, false, 1, f, f, f)
	huge := append([]byte(nil), good...)
	le.PutUint32(huge[24+116+8:], 1<<30)
	ng := write(t, 3)
	wrongEnd := append([]byte(nil), ng...)
	le.PutUint32(wrongEnd[8:], 0x12345678) // byte-order magic
	for name, c := range map[string]struct {
		in     []byte
		frames int
		want   string
	}{
		"empty":                {nil, 0, "at byte 0: a file of 0 bytes"},
		"three bytes":          {[]byte{1, 2, 3}, 0, "at byte 0: a file of 3 bytes"},
		"text":                 {[]byte("this is not a capture file at all"), 0, "Unknown magic"},
		"half a file header":   {good[:20], 0, "at byte 20"},
		"not Ethernet":         {classic(le, false, 101, f), 0, "want 1 (Ethernet)"},
		"half a record header": {good[:24+116+5], 1, "at byte 140: the record that begins here is cut off"},
		"only a record header": {good[:24+116+16], 1, "at byte 140: the record that begins here is cut off"},
		"half a record":        {good[:24+116+116+50], 2, "at byte 256: the record that begins here is cut off"},
		"lengths that lie":     {huge, 1, "at byte 140: capture length exceeds"},
		"pcapng cut off":       {ng[:len(ng)-3], 2, "is cut off"},
		"pcapng byte order":    {wrongEnd, 0, "Wrong byte order"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := New(Config{Name: "x.pcap", In: bytes.NewReader(c.in)})
			n := 0
			if err == nil {
				var frames [][]byte
				frames, _, err = read(t, l)
				n = len(frames)
				require.NoError(t, l.Close())
				_, _ = l.Recv(nil)
			}
			require.Error(t, err)
			require.False(t, errors.Is(err, io.EOF), "a malformed file is no good end: %v", err)
			require.Equal(t, failure.BadFile, failure.KindOf(err))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "x.pcap")
			require.Equal(t, c.frames, n, "what stands before it is delivered")
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pcap"), filepath.Join(dir, "out.pcapng")
	require.NoError(t, os.WriteFile(in, write(t, 100), 0o644))
	require.NoError(t, os.WriteFile(out, bytes.Repeat([]byte("old"), 100000), 0o644))
	l, err := Open(in, out)
	require.NoError(t, err)
	frames := make([]*hostif.Frame, 64)
	for {
		n, err := l.Recv(frames)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		sent, err := l.Send(frames[:n])
		require.NoError(t, err)
		require.Equal(t, n, sent)
	}
	require.NoError(t, l.Close())
	copied, err := Open(out, "")
	require.NoError(t, err)
	defer copied.Close()
	got, _, err := read(t, copied)
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, got, 100)

	for _, c := range []struct {
		read, write string
		kind        failure.Kind
	}{
		{"", "", failure.Usage},
		{filepath.Join(dir, "missing"), "", failure.Usage},
		{in, filepath.Join(dir, "no", "such"), failure.Usage},
		{in, in, failure.Usage},
		{dir, "", failure.BadFile},
	} {
		_, err := Open(c.read, c.write)
		require.Error(t, err, c)
		require.Equal(t, c.kind, failure.KindOf(err), "%v", err)
	}
	again, err := os.ReadFile(in)
	require.NoError(t, err)
	require.Equal(t, write(t, 100), again, "the file to read was not touched")
}

func TestSendAndClose(t *testing.T) {
	var buf bytes.Buffer
	l, err := New(Config{Name: "x", Out: &buf, MTU: 1500})
	require.NoError(t, err)
	_, err = l.Recv(make([]*hostif.Frame, 1))
	require.ErrorIs(t, err, io.EOF, "nothing to read")
	n, err := l.Send([]*hostif.Frame{hostiftest.Frame(1, 1600), {Data: make([]byte, 13)}, hostiftest.Unfinished(0, 1, 100, 0), hostiftest.Frame(2, 60)})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	st := l.Stats()
	require.EqualValues(t, 1, st.TxDropSize)
	require.EqualValues(t, 2, st.TxDropError)
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.True(t, hostiftest.Readable(l.Fd(), 20*time.Second))
	_, err = l.Recv(nil)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = l.Send(nil)
	require.ErrorIs(t, err, net.ErrClosed)
}

// full fails after some bytes, as a disk does.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestDiskFull(t *testing.T) {
	l, err := New(Config{Name: "x", Out: &full{20000}})
	require.NoError(t, err)
	for range 1000 {
		if _, err = l.Send([]*hostif.Frame{hostiftest.Frame(1, 1000)}); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, io.ErrShortWrite)
	require.Error(t, l.Close(), "what could not be written is not forgotten")
}

func FuzzRead(f *testing.F) {
	fr := hostiftest.Frame(1, 60).Data
	f.Add(write(f, 3))
	f.Add(classic(binary.LittleEndian, true, 1, fr, fr))
	f.Add(classic(binary.BigEndian, false, 1, fr))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := newSource("fuzz", bytes.NewReader(b))
		for n := 0; err == nil; n++ {
			var data []byte
			if data, _, _, err = s.next(); err == nil && (len(data) > len(b) && s.unit == "byte" || n > len(b)) {
				t.Fatalf("frame %d of %d bytes out of a file of %d", n, len(data), len(b))
			}
		}
		if !errors.Is(err, io.EOF) && failure.KindOf(err) != failure.BadFile {
			t.Fatalf("%v is neither the end nor a bad file", err)
		}
	})
}
