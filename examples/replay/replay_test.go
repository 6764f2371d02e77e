package replay_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
)

var update = flag.Bool("update", false, "write web.pcap")

const client, server = "02:00:00:00:00:01", "02:00:00:00:00:02"

// webPcap is web.pcap: a request on a connection of its own, the answer in three segments.
func webPcap(t *testing.T) []byte {
	type frame = datapathtest.Frame
	out := func(flags string, seq, ack uint32) frame {
		return datapathtest.Eth(server, client).IPv4("10.0.0.1", "10.0.0.2").TCP(40000, 80, flags, datapathtest.Seq(seq), datapathtest.Ack(ack))
	}
	back := func(flags string, seq, ack uint32) frame {
		return datapathtest.Eth(client, server).IPv4("10.0.0.2", "10.0.0.1").TCP(80, 40000, flags, datapathtest.Seq(seq), datapathtest.Ack(ack))
	}
	get := "GET /productpage HTTP/1.1\r\nHost: productpage:9080\r\n\r\n"
	head := "HTTP/1.1 200 OK\r\nContent-Length: 2920\r\n\r\n"
	body := strings.Repeat("meshnic ", 500)
	wrong := out("A", 55, 1001)
	wrong[len(wrong)-4]++ // of the checksum's pseudo header: the window
	var file bytes.Buffer
	w := pcapgo.NewWriterNanos(&file)
	require.NoError(t, w.WriteFileHeader(1<<16, layers.LinkTypeEthernet))
	for _, x := range []struct {
		ns    int
		data  frame
		holds int // bytes captured; 0: all
	}{
		{0, datapathtest.Eth("ff:ff:ff:ff:ff:ff", client).ARP(1, client, "10.0.0.1", "00:00:00:00:00:00", "10.0.0.2"), 0},
		{4100, datapathtest.Eth(client, server).ARP(2, server, "10.0.0.2", client, "10.0.0.1"), 0},
		{9000, out("S", 0, 0), 0},
		{13200, back("SA", 1000, 1), 0},
		{17000, out("A", 1, 1001), 0},
		{17100, out("PA", 1, 1001).Payload(get), 0},
		{21400, back("A", 1001, 55), 0},
		{250000, back("A", 1001, 55).Payload(head + body[:1400]), 0},
		{250100, back("A", 1001+1441, 55).Payload(body[1400:2860]), 96},
		{250200, back("PA", 1001+2901, 55).Payload(body[2860:2920]), 0},
		{254000, wrong, 0},
		{253900, out("A", 55, 3962), 0},
		{300000, out("FA", 55, 3962), 0},
		{304000, back("FA", 3962, 56), 0},
		{308000, out("A", 56, 3963), 0},
	} {
		data := []byte(x.data)
		if x.holds > 0 {
			data = data[:x.holds]
		}
		at := time.Unix(1_790_000_000, int64(x.ns))
		require.NoError(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(data), Length: len(x.data)}, data))
	}
	return file.Bytes()
}

func TestCapture(t *testing.T) {
	want := webPcap(t)
	if *update {
		require.NoError(t, os.WriteFile("web.pcap", want, 0o644))
	}
	got, err := os.ReadFile("web.pcap")
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "web.pcap is not what this test writes: go test ./examples/replay -update")
}

// build makes meshnic; it returns what runs it in this folder.
func build(t *testing.T) func(args ...string) (stdout, stderr string) {
	bin := filepath.Join(t.TempDir(), "meshnic")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../cmd/meshnic").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return func(args ...string) (string, string) {
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(t.Context(), bin, args...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.NoError(t, cmd.Run(), "%v: %s", args, stderr.String())
		return stdout.String(), stderr.String()
	}
}

// The commands of the README run, with their files in another folder.
func TestREADME(t *testing.T) {
	meshnic, dir := build(t), t.TempDir()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	commands := regexp.MustCompile(`(?m)^    meshnic (.*?)( +#.*)?$`).FindAllStringSubmatch(string(text), -1)
	require.Len(t, commands, 5)
	for _, c := range commands {
		args := strings.Fields(c[1])
		for i, a := range args {
			if i > 1 && strings.HasPrefix(args[i-1], "--") && strings.Contains(a, ".") {
				args[i] = filepath.Join(dir, a)
			}
		}
		stdout, _ := meshnic(args...)
		require.NotEmpty(t, stdout)
	}
	for _, name := range []string{"web.html", "web.vcd", "web.pftrace", "stages.pcapng"} {
		st, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Greater(t, st.Size(), int64(1000), name)
	}
}

func TestWhatIsWrongWithTheCaptureIsSaid(t *testing.T) {
	stdout, stderr := build(t)("replay", "web.pcap", "--pipeline", "passthrough-10g", "-o", "json")
	var r struct {
		Schema  string            `json:"schema"`
		Capture map[string]uint64 `json:"capture"`
		Drops   []struct {
			Stage, Reason string
			Frames        uint64
		} `json:"drops"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	require.Equal(t, "meshnic.replay/1", r.Schema)
	require.Equal(t, uint64(15), r.Capture["records"])
	require.Equal(t, uint64(15), r.Capture["frames"])
	require.Equal(t, uint64(1), r.Capture["truncated_records"])
	require.Equal(t, uint64(1), r.Capture["out_of_order_records"])
	require.Len(t, r.Drops, 1)
	require.Equal(t, "parser", r.Drops[0].Stage)
	require.Equal(t, "l4_checksum", r.Drops[0].Reason)
	require.Contains(t, stderr, "--skip-checksums")
}

// Stages and remainder add up to the total, of all frames and of each sample.
func TestWaterfallAddsUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.json")
	build(t)("replay", "web.pcap", "--pipeline", "passthrough-10g", "--waterfall", file)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var w struct {
		Frames int
		Stages []struct {
			Stage string
			Sum   json.Number `json:"sum_ns"`
		}
		Remainder, Total struct {
			Sum json.Number `json:"sum_ns"`
		}
		Samples []struct {
			ID     int
			Total  json.Number `json:"total_ns"`
			Stages []struct {
				Share json.Number `json:"share_ns"`
			}
			Remainder json.Number `json:"remainder_ns"`
		}
	}
	require.NoError(t, json.Unmarshal(b, &w))
	require.Equal(t, 14, w.Frames)
	require.GreaterOrEqual(t, len(w.Stages), 8)
	sum := picos(t, w.Remainder.Sum)
	for _, s := range w.Stages {
		sum += picos(t, s.Sum)
	}
	require.Equal(t, picos(t, w.Total.Sum), sum)
	require.Len(t, w.Samples, 3)
	for _, s := range w.Samples {
		sum := picos(t, s.Remainder)
		for _, x := range s.Stages {
			sum += picos(t, x.Share)
		}
		require.Equal(t, picos(t, s.Total), sum, "frame %d", s.ID)
	}
}

// picos is a number of nanoseconds in picoseconds.
func picos(t *testing.T, n json.Number) int64 {
	ns, frac, _ := strings.Cut(n.String(), ".")
	v, err := strconv.ParseInt(ns+(frac + "000")[:3], 10, 64)
	require.NoError(t, err)
	return v
}

// A frame has one number in the waveform, the capture of the stages and the table.
func TestOneIDEverywhere(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, engine := range []string{"tick", "maxplus"} {
		build(t)("replay", "web.pcap", "--pipeline", "passthrough-10g", "--engine", engine,
			"--vcd", at("web.vcd"), "--pcapng", at("web.pcapng"), "--frames", at("web.csv"))
		text := func(name string) string {
			b, err := os.ReadFile(at(name))
			require.NoError(t, err)
			return string(b)
		}
		rows, err := csv.NewReader(strings.NewReader(text("web.csv"))).ReadAll()
		require.NoError(t, err)
		require.Equal(t, "id", rows[0][0])
		var table []int
		for _, row := range rows[1:] {
			table = append(table, number(t, row[0], 10))
		}
		var all []int
		for id := range 15 {
			all = append(all, id+1)
		}
		require.Equal(t, all, distinct(table))

		var capture []int
		for _, m := range regexp.MustCompile(`\x01\x00[\x04-\x05]\x00id=(\d+)`).FindAllStringSubmatch(text("web.pcapng"), -1) {
			capture = append(capture, number(t, m[1], 10))
		}
		require.Equal(t, all, distinct(capture))
		require.Greater(t, len(capture), 14*6, "most frames at each stage")

		var waves []int
		vcd := text("web.vcd")
		for _, v := range regexp.MustCompile(`\$var \S+ 32 (\S+) frame `).FindAllStringSubmatch(vcd, -1) {
			for _, m := range regexp.MustCompile(`(?m)^b([01]+) `+regexp.QuoteMeta(v[1])+`$`).FindAllStringSubmatch(vcd, -1) {
				waves = append(waves, number(t, m[1], 2))
			}
		}
		require.Equal(t, all, distinct(waves))
	}
}

func number(t *testing.T, s string, base int) int {
	v, err := strconv.ParseInt(s, base, 64)
	require.NoError(t, err)
	return int(v)
}

func distinct(v []int) []int {
	slices.Sort(v)
	return slices.Compact(v)
}
