package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

const web = "../../examples/replay/web.pcap"

// replayed runs the verb with a file as standard input.
func replayed(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	var out, say bytes.Buffer
	cmd := newReplay()
	if stdin != "" {
		f, err := os.Open(stdin)
		require.NoError(t, err)
		defer f.Close()
		cmd.SetIn(f)
	}
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&say)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.ExecuteContext(t.Context())
	return out.String(), say.String(), err
}

func TestReplayRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	wide := file("wide.yaml", "clock_mhz: 250\nstages:\n  - {module: axis_register, DATA_WIDTH: 64}\n  - {module: axis_register, DATA_WIDTH: 128}\n")
	const p = "--pipeline=passthrough-100g"
	for name, tt := range map[string]struct {
		args []string
		want string
		kind failure.Kind
	}{
		"no pipeline":      {[]string{web}, "--pipeline is missing", failure.Usage},
		"missing file":     {[]string{filepath.Join(dir, "none.pcap"), p}, "there is no such file", failure.BadFile},
		"folder":           {[]string{dir, p}, "it is a folder", failure.BadFile},
		"empty file":       {[]string{file("empty.pcap", ""), p}, "it is empty", failure.BadFile},
		"text":             {[]string{file("notes.txt", "these are notes\n"), p}, `looks like text: "these are notes`, failure.BadFile},
		"gzip":             {[]string{file("web.pcap.gz", "\x1f\x8b\x08\x00\x00\x00\x00\x00"), p}, "gunzip -c FILE | meshnic replay -", failure.BadFile},
		"unknown pipeline": {[]string{web, "--pipeline=none"}, "neither built in nor a file", failure.BadFile},
		"bad pipeline":     {[]string{web, "--pipeline", wide}, "4:5", failure.BadFile},
		"engine":           {[]string{web, p, "--engine=fast"}, "want tick or maxplus", failure.Usage},
		"ports":            {[]string{web, p, "--ports=3"}, "want auto, one, interface, mac", failure.Usage},
		"program":          {[]string{web, p, "--program=mirror"}, "want passthrough, offload or none", failure.Usage},
		"no configuration": {[]string{web, p, "--program=offload"}, "needs the configuration of its proxy", failure.Usage},
		"no proxy":         {[]string{web, p, "--config=" + wide}, "no other has one", failure.Usage},
		"no comment":       {[]string{web, p, "--program=offload", "--config=" + wide}, "does not say how the proxy was", failure.BadFile},
		"output":           {[]string{web, p, "-o", "xml"}, "want table, json or csv", failure.Usage},
		"speed":            {[]string{web, p, "--speed=0"}, "--speed 0", failure.Usage},
		"two paces":        {[]string{web, p, "--speed=2", "--back-to-back"}, "give one", failure.Usage},
		"waterfall":        {[]string{web, p, "--waterfall=web.png"}, "want .html, .htm, .svg, .json, or -", failure.Usage},
		"waterfall in CSV": {[]string{web, p, "--waterfall=-", "-o", "csv"}, "want -o table", failure.Usage},
		"frames":           {[]string{web, p, "--frames=web.txt"}, "want .csv, .json, .jsonl, or -", failure.Usage},
		"output folder":    {[]string{web, p, "--vcd", filepath.Join(dir, "none", "web.vcd")}, "a folder that can be written to", failure.Usage},
		"itself":           {[]string{wide, p, "--vcd", wide}, "no capture", failure.BadFile},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := replayed(t, "", tt.args...)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, tt.kind, failure.KindOf(err))
		})
	}
}

func TestReplayOfATerminal(t *testing.T) {
	_, _, err := replayed(t, os.DevNull, "-", "--pipeline=passthrough-100g") // a character device too
	require.ErrorContains(t, err, "it is a terminal")
	require.Equal(t, failure.Usage, failure.KindOf(err))
}

// A pipeline without a stage that acts says so where the program would drop.
func TestReplayWithoutAStageThatActs(t *testing.T) {
	_, stderr, err := replayed(t, "", web, "--pipeline=switch")
	require.NoError(t, err)
	require.Contains(t, stderr, "the program would drop 1 frames, but no stage of the pipeline acts")
}

func TestReplayDoesNotOverwriteTheCapture(t *testing.T) {
	before, err := os.ReadFile(web)
	require.NoError(t, err)
	same := filepath.Join(t.TempDir(), "same.pcap")
	require.NoError(t, os.WriteFile(same, before, 0o644))
	_, _, err = replayed(t, "", same, "--pipeline=passthrough-100g", "--pcapng", same)
	require.ErrorContains(t, err, "it is the capture that is read")
	after, err := os.ReadFile(same)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// All forms of all outputs, from a file and from standard input.
func TestReplayOutputs(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	const p = "--pipeline=passthrough-100g"
	table, _, err := replayed(t, "", web, p)
	require.NoError(t, err)
	require.Contains(t, table, "15 records, 15 frames")
	require.Contains(t, table, "1 truncated_records, 1 out_of_order_records")
	require.Regexp(t, `mac_rx +15 `, table)
	require.Regexp(t, `parser +l4_checksum +1 +11\n`, table)

	doc, _, err := replayed(t, web, "-", p, "-o", "json")
	require.NoError(t, err)
	var r map[string]any
	require.NoError(t, json.Unmarshal([]byte(doc), &r))
	require.Equal(t, "meshnic.replay/1", r["schema"])
	require.Equal(t, "standard input", r["file"])

	text, _, err := replayed(t, web, "-", p, "-o", "csv")
	require.NoError(t, err)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"field", "value"}, rows[0])

	for form, want := range map[string]string{"table": "last_latency_ns", "csv": "id,bytes,in,out", "json": `{"schema":"meshnic.frames/1"}`} {
		out, _, err := replayed(t, "", web, p, "--frames=-", "-o", form)
		require.NoError(t, err)
		first, rest, _ := strings.Cut(out, "\n")
		require.Contains(t, first, want)
		require.Equal(t, 15, strings.Count(rest, "\n"))
		require.Contains(t, rest, "l4_checksum")
	}
	out, _, err := replayed(t, "", web, p, "--waterfall=-")
	require.NoError(t, err)
	require.Contains(t, out, "remainder")

	out, _, err = replayed(t, "", web, p, "--waterfall=-", "-o", "json")
	require.NoError(t, err)
	var doc2 struct{ Waterfall struct{ Schema string } }
	require.NoError(t, json.Unmarshal([]byte(out), &doc2))
	require.Equal(t, "meshnic.waterfall/1", doc2.Waterfall.Schema)

	for name, want := range map[string]string{"w.html": "<svg", "w.svg": "<svg", "w.json": `"meshnic.waterfall/1"`} {
		_, _, err := replayed(t, "", web, p, "--waterfall", at(name))
		require.NoError(t, err)
		b, err := os.ReadFile(at(name))
		require.NoError(t, err)
		require.Contains(t, string(b), want)
	}
}
