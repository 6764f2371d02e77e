package tcp_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp"
)

var update = flag.Bool("update", false, "write what the conversations give now")

const (
	client, server = "10.0.0.1", "10.0.0.2"
	clientPort     = 4000
	serverPort     = 80
	hz             = 1000 // a cycle is a millisecond in tests
)

func newTracker(t testing.TB, flows int) *tcp.Tracker {
	tr, err := tcp.New(tcp.Config{Flows: flows, Clock: sim.Clock{Hz: hz}})
	require.NoError(t, err)
	return tr
}

// TestConversations runs each file of testdata/conversations: a line is the
// cycle, who sends, the flags, and fields; behind the bar stands the flow's state
// after it and what was counted. The last line is the flow.
//
//	10 client PA seq=1 ack=1 len=5 | ESTABLISHED
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/conversations/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			got := converse(t, string(b))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(b), got)
		})
	}
}

func converse(t *testing.T, text string) string {
	var out strings.Builder
	tr := newTracker(t, 16)
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimRight(line, "\n"), "|")
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "=") {
			continue
		}
		if line == "" || line[0] == '#' {
			fmt.Fprintln(&out, line)
			continue
		}
		before := tr.Counters()
		was, _ := find(tr)
		now, p := segment(t, line)
		require.Equal(t, datapath.Continue, tr.Process(now, p))
		f, ok := find(tr)
		state := "no flow"
		if ok {
			state = f.State.String()
		}
		fmt.Fprintf(&out, "%-56s | %s%s%s\n", line, state, counted(before, tr.Counters()), sampled(was, f))
	}
	if f, ok := find(tr); ok {
		fmt.Fprintf(&out, "= client %s\n= server %s\n", sideText(f.Client), sideText(f.Server))
	}
	return out.String()
}

func find(tr *tcp.Tracker) (tcp.Flow, bool) {
	return tr.Find(IP(client), IP(server), clientPort, serverPort, 0)
}

func counted(before, after tcp.Counters) string {
	var s string
	old := map[string]uint64{}
	before.Each(func(name string, v uint64) { old[name] = v })
	after.Each(func(name string, v uint64) {
		if name != "segments" && name != "bytes" && name != "rtt_samples" && v != old[name] {
			s += " " + name
		}
	})
	return s
}

func sampled(was, is tcp.Flow) (s string) {
	if is.Client.RTT.Samples > was.Client.RTT.Samples {
		s += fmt.Sprintf(" client rtt %d", is.Client.RTT.Smoothed)
	}
	if is.Server.RTT.Samples > was.Server.RTT.Samples {
		s += fmt.Sprintf(" server rtt %d", is.Server.RTT.Smoothed)
	}
	return s
}

func sideText(s tcp.Side) string {
	return fmt.Sprintf("%d bytes in %d segments, %d again, %d late; next %d, acked %d; rtt %d of %d, at least %d",
		s.Bytes, s.Segments, s.Retransmissions, s.OutOfOrder, s.Next, s.Acked, s.RTT.Smoothed, s.RTT.Samples, s.RTT.Min)
}

// segment reads one line of a conversation.
func segment(t *testing.T, line string) (sim.Cycle, *datapath.Packet) {
	w := strings.Fields(line)
	require.GreaterOrEqual(t, len(w), 3, line)
	now, err := strconv.Atoi(w[0])
	require.NoError(t, err, line)
	var fields []TCPField
	payload, gso := 0, 0
	for _, kv := range w[3:] {
		k, v, _ := strings.Cut(kv, "=")
		a, b, _ := strings.Cut(v, ",")
		n, err := strconv.ParseUint(a, 10, 32)
		require.NoError(t, err, line)
		switch k {
		case "seq":
			fields = append(fields, Seq(uint32(n)))
		case "ack":
			fields = append(fields, Ack(uint32(n)))
		case "len":
			payload = int(n)
		case "gso":
			gso = int(n)
		case "ts":
			ecr, err := strconv.ParseUint(b, 10, 32)
			require.NoError(t, err, line)
			fields = append(fields, TS(uint32(n), uint32(ecr)))
		default:
			t.Fatalf("%s: %s", line, k)
		}
	}
	f := Eth().IPv4(client, server).TCP(clientPort, serverPort, strings.Trim(w[2], "-"), fields...)
	if w[1] == "server" {
		f = Eth().IPv4(server, client).TCP(serverPort, clientPort, strings.Trim(w[2], "-"), fields...)
	}
	p := Packet(t, f.Payload(strings.Repeat("x", payload)))
	p.GSOSize = uint16(gso)
	return sim.Cycle(now), p
}
