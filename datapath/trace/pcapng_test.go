package trace_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// packet is one packet of a capture.
type packet struct {
	port     string
	ns       int64
	data     []byte
	size     int
	id       uint64
	comments map[string]string
}

func readPcapng(t testing.TB, file []byte) (ports []string, packets []packet) {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{})
	require.NoError(t, err)
	require.Equal(t, "meshnic", r.SectionInfo().Application)
	for {
		data, ci, opts, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		i, err := r.Interface(ci.InterfaceIndex)
		require.NoError(t, err)
		require.EqualValues(t, 9, i.TimestampResolution)
		p := packet{port: i.Name, ns: ci.Timestamp.UnixNano(), data: data, size: ci.Length, id: *opts.PacketID, comments: map[string]string{}}
		for _, c := range opts.Comments {
			k, v, ok := strings.Cut(c, "=")
			require.True(t, ok)
			p.comments[k] = v
		}
		require.Equal(t, strconv.FormatUint(p.id, 10), p.comments["id"])
		packets = append(packets, p)
	}
	for i := range r.NInterfaces() {
		x, err := r.Interface(i)
		require.NoError(t, err)
		ports = append(ports, x.Name)
	}
	return ports, packets
}

func TestPcapngHasEveryCrossing(t *testing.T) {
	r := full(t, 80)
	var buf bytes.Buffer
	const epoch = 1_700_000_000_000_000_000
	p, rec := trace.NewPcapng(&buf, r.net, trace.PcapngConfig{Data: r.data, Epoch: epoch}), &trace.Recorder{}
	r.tick(t, p, rec)
	require.NoError(t, p.Close())
	ports, packets := readPcapng(t, buf.Bytes())
	require.Equal(t, []string{"src", "skid", "queue", "slice", "cross"}, ports, "the sink has no output")
	producer := map[string]string{"rx": "src"}
	for _, s := range ports[1:] {
		producer[s+".out"] = s
	}
	n := 0
	for e := range rec.All() {
		if e.Kind == trace.Offer || e.Kind == trace.Accept && !e.Beat.Last {
			continue
		}
		g := packets[n]
		n++
		require.Equal(t, epoch+int64(e.Time)/1000, g.ns)
		require.Equal(t, uint64(e.Frame), g.id)
		require.Equal(t, strconv.FormatInt(int64(e.Time), 10), g.comments["ps"])
		require.Equal(t, r.data(nil, e.Frame), g.data)
		require.Equal(t, len(g.data), g.size)
		if e.Kind == trace.Drop {
			require.Equal(t, "queue", g.port)
			require.Equal(t, [2]string{"drop", e.Why.String()}, [2]string{g.comments["verdict"], g.comments["reason"]})
			continue
		}
		require.Equal(t, producer[e.Wire.Name], g.port)
		require.Equal(t, e.Wire.Name, g.comments["wire"])
		require.Equal(t, fmt.Sprint(e.Cycle), g.comments["cycle"])
		require.Equal(t, map[bool]string{true: "bad", false: "pass"}[e.Beat.Bad], g.comments["verdict"])
	}
	require.Len(t, packets, n)
}

func TestPcapngShowsWhatIsKnown(t *testing.T) {
	n := &sim.Net{}
	d := n.Clock("core", 4000, 0)
	w := n.Wire("w", d, 8)
	n.Add("strip", &sim.Source{Out: w, Feed: &sim.Frames{}})
	pattern, err := sim.NewPattern("none")
	require.NoError(t, err)
	n.Add("sink", &sim.Sink{In: w, Pattern: pattern})
	var buf bytes.Buffer
	p := trace.NewPcapng(&buf, n, trace.PcapngConfig{
		Data: func(_ *sim.Wire, frame uint32) []byte {
			return [][]byte{1: []byte("0123456789"), 2: []byte("0123456789"), 3: []byte("01"), 4: nil}[frame]
		},
		Link: func(int) uint16 { return 1 },
		Verdict: func(stage int, frame uint32) string {
			return map[uint32]string{1: "rewritten by " + n.Name(stage)}[frame]
		},
	})
	see := func(at sim.Cycle, b sim.Beat) { p.Offered(w, at, b); p.Accepted(w, at, b) }
	see(0, sim.Beat{Frame: 1, Off: 4, Bytes: 6, Left: 6, First: true, Last: true})
	see(1, sim.Beat{Frame: 2, Off: -3, Bytes: 8, Left: 8, First: true, Last: true})
	see(2, sim.Beat{Frame: 3, Off: 0, Bytes: 5, Left: 5, First: true, Last: true})
	see(3, sim.Beat{Frame: 4, Off: 0, Bytes: 5, Left: 5, First: true, Last: true})
	see(4, sim.Beat{Frame: 5, Bytes: 8, Left: 20, First: true}) // under way at the end
	require.NoError(t, p.Close())
	_, got := readPcapng(t, buf.Bytes())
	require.Len(t, got, 4)
	require.Equal(t, []any{"456789", 6, "rewritten by strip"}, []any{string(got[0].data), got[0].size, got[0].comments["verdict"]})
	require.Equal(t, []any{"\x00\x00\x0001234", 8, "3"}, []any{string(got[1].data), got[1].size, got[1].comments["unknown"]})
	require.Equal(t, []any{"01", 5}, []any{string(got[2].data), got[2].size})
	require.Equal(t, []any{"", 5}, []any{string(got[3].data), got[3].size})
}

// An odd length wants padding; a block is a whole number of words.
func TestPcapngBlocksAreWhole(t *testing.T) {
	r := full(t, 40)
	var buf bytes.Buffer
	p := trace.NewPcapng(&buf, r.net, trace.PcapngConfig{Data: r.data})
	r.tick(t, p)
	require.NoError(t, p.Close())
	for b := buf.Bytes(); len(b) > 0; {
		n := binary.LittleEndian.Uint32(b[4:])
		require.Zero(t, n%4)
		require.Equal(t, n, binary.LittleEndian.Uint32(b[n-4:]))
		b = b[n:]
	}
}

func TestPcapngAgainstTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("tshark is not installed")
	}
	r := full(t, 20)
	file := filepath.Join(t.TempDir(), "a.pcapng")
	f, err := os.Create(file)
	require.NoError(t, err)
	p := trace.NewPcapng(f, r.net, trace.PcapngConfig{Data: r.data})
	r.tick(t, p)
	require.NoError(t, p.Close())
	require.NoError(t, f.Close())
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	_, want := readPcapng(t, text)
	out, err := exec.Command("tshark", "-r", file, "-T", "fields", "-e", "frame.interface_name", "-e", "frame.time_epoch", "-e", "frame.len",
		"-e", "frame.cap_len", "-e", "frame.packet_id", "-e", "frame.comment", "-E", "aggregator=;").Output()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	require.Len(t, lines, len(want))
	for i, l := range lines {
		c, p := strings.Split(l, "\t"), want[i]
		sec, frac, _ := strings.Cut(c[1], ".")
		require.Equal(t, []string{p.port, fmt.Sprintf("%d.%09d", p.ns/1e9, p.ns%1e9), strconv.Itoa(p.size), strconv.Itoa(len(p.data))},
			[]string{c[0], sec + "." + frac, c[2], c[3]})
		if c[4] != "" { // tshark 4.2 and later
			id, err := strconv.ParseUint(c[4], 0, 64)
			require.NoError(t, err)
			require.Equal(t, p.id, id)
		}
		require.Contains(t, ";"+c[5]+";", fmt.Sprintf(";id=%d;", p.id))
		require.Contains(t, c[5], "verdict="+p.comments["verdict"])
	}
}
