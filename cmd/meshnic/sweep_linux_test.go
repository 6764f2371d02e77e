package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func lastLine(out string) string {
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	return lines[len(lines)-1]
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(b)
}

// A sweep leaves one folder, named last, whose manifest has every file; flags and
// a plan that say the same give the same bytes; nothing is on stderr of a pipe.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	flags, plan := filepath.Join(dir, "flags"), filepath.Join(dir, "plan")
	code, stdout, stderr := result(t, meshnic(t, "sweep", "--pipeline", "passthrough-10g", "--vary", "rx_fifo.DEPTH=512..4096:x2",
		"--vary", "mac_tx.DATA_WIDTH=64,77", "--bytes", "60,1514", "--frames", "8", "--dir", flags))
	require.Equal(t, 0, code, stderr)
	require.Empty(t, stderr, "no bar where there is no terminal")
	require.Equal(t, flags, lastLine(stdout))
	require.Contains(t, stdout, "16 of 16 points, 8 of them cannot be built or run (points.csv says why)")

	var m struct {
		Schema  string            `json:"schema"`
		Command []string          `json:"command"`
		Points  int               `json:"points"`
		Done    int               `json:"points_done"`
		Errors  int               `json:"points_with_error"`
		Files   map[string]string `json:"files"`
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, flags, "manifest.json")), &m))
	require.Equal(t, "meshnic.sweep/1", m.Schema)
	require.Equal(t, []int{16, 16, 8}, []int{m.Points, m.Done, m.Errors})
	require.Contains(t, m.Command, "rx_fifo.DEPTH=512..4096:x2")
	entries, err := os.ReadDir(flags)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if names = append(names, e.Name()); e.Name() != "manifest.json" {
			sum := sha256.Sum256([]byte(read(t, flags, e.Name())))
			require.Equal(t, hex.EncodeToString(sum[:]), m.Files[e.Name()], e.Name())
		}
	}
	require.Equal(t, []string{"index.html", "manifest.json", "pareto.svg", "points.csv", "points.jsonl"}, names)

	file := filepath.Join(dir, "plan.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
pipeline: passthrough-10g
vary: {rx_fifo.DEPTH: 512..4096:x2, mac_tx.DATA_WIDTH: [64, 77]}
traffic: {bytes: [60, 1514], frames: 8}
`), 0o644))
	code, _, stderr = result(t, meshnic(t, "sweep", "--plan", file, "--dir", plan, "--workers", "1"))
	require.Equal(t, 0, code, stderr)
	for _, name := range []string{"index.html", "pareto.svg", "points.csv", "points.jsonl"} {
		require.Equal(t, read(t, flags, name), read(t, plan, name), name)
	}

	// The same folder again: nothing to do, and the chart of other axes.
	code, stdout, stderr = result(t, meshnic(t, "sweep", "--plan", file, "--dir", plan, "--chart", "latency:throughput"))
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stderr, "16 points are there from before")
	require.Contains(t, stdout, "latency against throughput")
}

// Killed at any time, a sweep goes on where it was: its points are those of a
// sweep that was let alone.
func TestSweepIsKilled(t *testing.T) {
	dir := t.TempDir()
	args := func(name string) []string {
		return []string{
			"sweep", "--pipeline", "passthrough-100g", "--vary", "width=256,512", "--vary", "rx_cross.DEPTH=2048..16384:x2",
			"--vary", "table_size=64..8192:x2", "--bytes", "200", "--dir", filepath.Join(dir, name),
		}
	}
	code, _, stderr := result(t, meshnic(t, args("calm")...))
	require.Equal(t, 0, code, stderr)

	points := filepath.Join(dir, "killed", "points.jsonl")
	for kills := 1; kills <= 3; kills++ {
		cmd := meshnic(t, args("killed")...)
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool {
			b, _ := os.ReadFile(points)
			return bytes.Count(b, []byte("\n")) > 6*kills
		}, 60*time.Second, time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		if kills == 1 { // and as if in the middle of a write
			b := read(t, points)
			require.NoError(t, os.WriteFile(points, []byte(b[:len(b)-40]), 0o644))
		}
	}
	code, _, stderr = result(t, meshnic(t, args("killed")...))
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stderr, "points are there from before")
	for _, name := range []string{"points.csv", "points.jsonl", "pareto.svg", "index.html"} {
		require.Equal(t, read(t, dir, "calm", name), read(t, dir, "killed", name), name)
	}
}

// An interrupted sweep says how to go on.
func TestSweepIsInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	cmd := meshnic(t, "sweep", "--pipeline", "passthrough-10g", "--vary", "rx_fifo.DEPTH=1024..65536:+512", "--bytes", "1514", "--dir", dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(filepath.Join(dir, "points.jsonl"))
		return bytes.Count(b, []byte("\n")) > 2
	}, 60*time.Second, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Equal(t, 130, cmd.ProcessState.ExitCode())
	require.Contains(t, stderr.String(), "the same command goes on from there")
	require.Empty(t, stdout.String())
}

// terminalPair returns both ends of a pseudo-terminal.
func terminalPair(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestSweepDrawsABarOnATerminal(t *testing.T) {
	master, slave := terminalPair(t)
	cmd := meshnic(t, "sweep", "--pipeline", "reference-nic", "--vary", "fifo_depth=2048,4096", "--dir", filepath.Join(t.TempDir(), "run"))
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, slave
	screen := make(chan string)
	go func() {
		b, _ := io.ReadAll(master) // ends with an error when the other end is closed
		screen <- string(b)
	}()
	require.NoError(t, cmd.Run())
	require.NoError(t, slave.Close())
	require.Contains(t, <-screen, "(0/2)", "the bar itself goes away at the end")
	require.NotContains(t, stdout.String(), "\r")
}

func TestMergeOfShards(t *testing.T) {
	dir := t.TempDir()
	shard := func(env []string, args ...string) string {
		cmd := meshnic(t, append([]string{"sweep", "--pipeline", "reference-nic", "--vary", "fifo_depth=1024..8192:x2"}, args...)...)
		cmd.Env, cmd.Dir = append(cmd.Env, env...), dir
		code, stdout, stderr := result(t, cmd)
		require.Equal(t, 0, code, stderr)
		require.Contains(t, stderr, "shard ")
		return lastLine(stdout)
	}
	a := shard(nil, "--shard", "1/3")
	b := shard([]string{"SLURM_ARRAY_TASK_ID=2", "SLURM_ARRAY_TASK_COUNT=3", "SLURM_ARRAY_TASK_MIN=1", "SLURM_ARRAY_TASK_MAX=3"})
	require.Equal(t, a, b, "the same shard by either name")
	b = shard([]string{"JOB_COMPLETION_INDEX=2", "JOB_COMPLETIONS=3"})
	merge := func(args ...string) (int, string, string) {
		cmd := meshnic(t, append([]string{"report", "--merge"}, args...)...)
		cmd.Dir = dir
		return result(t, cmd)
	}
	code, stdout, stderr := merge(a, b)
	require.Equal(t, 7, code)
	require.Contains(t, stderr, "merge: 2 of 4 points are missing: 0, 3")
	require.Contains(t, stderr, "--shard 0/3")
	require.FileExists(t, filepath.Join(lastLine(stdout), "points.csv"), "what is there is there")
	require.Contains(t, read(t, lastLine(stdout), "index.html"), "2 of 4 points are not here: 0, 3")

	c := shard(nil, "--shard", "3/3")
	code, stdout, stderr = merge(a, filepath.Join(b, "points.jsonl"), c)
	require.Equal(t, 0, code, stderr)
	all := lastLine(stdout)
	whole := filepath.Join(dir, "whole")
	code, _, stderr = result(t, meshnic(t, "sweep", "--pipeline", "reference-nic", "--vary", "fifo_depth=1024..8192:x2", "--dir", whole))
	require.Equal(t, 0, code, stderr)
	for _, name := range []string{"points.csv", "points.jsonl", "pareto.svg", "index.html"} {
		require.Equal(t, read(t, whole, name), read(t, all, name), name)
	}

	other := filepath.Join(dir, "other")
	code, _, stderr = result(t, meshnic(t, "sweep", "--pipeline", "reference-nic", "--vary", "fifo_depth=1024,2048", "--dir", other))
	require.Equal(t, 0, code, stderr)
	code, stdout, stderr = merge(a, other)
	require.Equal(t, 6, code)
	require.Contains(t, stderr, "they are of different plans (another vary)")
	require.Empty(t, stdout)
}

// Bad input: each its exit code, a message that says what to do, nothing on
// stdout, and no folder.
func TestSweepBadInput(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		return path
	}
	thing := file("thing", "")
	nic := []string{"--pipeline", "reference-nic"}
	for _, tt := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"no pipeline", nil, 2, []string{"no pipeline", "next: meshnic sweep --pipeline offload-100g", "reference-nic, switch"}},
		{"unknown pipeline", []string{"--pipeline", "nix"}, 3, []string{"nix: is neither built in nor a file", "built in are offload-100g"}},
		{"unknown parameter", append(nic, "--vary", "DEPHT=1"), 2, []string{`no stage has a parameter "DEPHT", want clock_mhz, width, fifo_depth, table_size, scan_bytes, memory_latency_ns, pcie_latency_ns, or `, "BUFFER_SIZE"}},
		{"unknown stage", append(nic, "--vary", "quews.BUFFER_SIZE=1"), 2, []string{`there is no stage "quews", want arbiter, lookup, queues`}},
		{"no range", append(nic, "--vary", "fifo_depth"), 2, []string{"--vary fifo_depth: want STAGE.PARAM=RANGE"}},
		{"wrong step", append(nic, "--vary", "fifo_depth=512..4096:+0"), 2, []string{"the step is 0, want more than 0"}},
		{"no step", append(nic, "--vary", "fifo_depth=512..4096"), 2, []string{"has no step: write 512..4096:+STEP or 512..4096:xFACTOR"}},
		{"backwards", append(nic, "--vary", "fifo_depth=4096..512:x2"), 2, []string{"ends before it begins: write 512..4096:x2"}},
		{"width that does not divide", append(nic, "--vary", "width=100"), 2, []string{"none of 1 points can be built; the first: ", "C_S_AXIS_DATA_WIDTH is 100"}},
		{"short frames", append(nic, "--bytes", "1..20:+10"), 2, []string{"--bytes: bytes is 1, want 15 to 65535"}},
		{"half a frame", append(nic, "--frames", "0.5"), 2, []string{"--frames: 0.5 is not a whole number"}},
		{"unknown sink", append(nic, "--sink", "often"), 2, []string{`unknown sink "often", want none, alt50`}},
		{"unknown engine", append(nic, "--engine", "warp"), 2, []string{`unknown engine "warp", want tick, maxplus`}},
		{"unknown axis", append(nic, "--chart", "speed:lut"), 2, []string{`chart of "speed", want latency, `}},
		{"too many points", append(nic, "--vary", "fifo_depth=1..60000:+1", "--vary", "clock_mhz=1..60000:+1"), 2, []string{"has 3600000000 points, want at most 1048576"}},
		{"shard 5/4", append(nic, "--shard", "5/4"), 2, []string{`--shard "5/4": want i/n, with i from 0 to n-1 or from 1 to n`}},
		{"shards of nobody", append(nic, "--shards", "4"), 2, []string{"which of them is not known", "--shard 0/4"}},
		{"workers", append(nic, "--workers", "-1"), 2, []string{"--workers -1: want 0 to 4096"}},
		{"folder that cannot be", append(nic, "--dir", filepath.Join(thing, "run")), 2, []string{"make the sweep's folder", "not a directory", "--dir"}},
		{"folder of something else", append(nic, "--dir", dir), 6, []string{"it is not empty and holds no sweep"}},
		{"plan that is not there", []string{"--plan", filepath.Join(dir, "none.yaml")}, 3, []string{"none.yaml", "no such file"}},
		{"plan with flags", []string{"--plan", thing, "--bytes", "60"}, 2, []string{"--plan with --bytes: the plan says that"}},
		{"plan with a slip", []string{"--plan", file("slip.yaml", "pipeline: reference-nic\nvary:\n  widht: 64\ntraffic:\n  bytes: 7\n")}, 3, []string{`slip.yaml:3:3: no stage has a parameter "widht"`, "slip.yaml:5:10: bytes is 7, want 15 to 65535"}},
		{"plan of a broken pipeline", []string{"--plan", file("of.yaml", "pipeline: broken.yaml\n"), "--dir", file("broken.yaml", "stages:\n  - {module: axis_fivo, DATA_WIDTH: 64}\n")}, 3, []string{"broken.yaml", "2:", "axis_fivo"}},
		{"plan of no pipeline", []string{"--plan", file("nix.yaml", "pipeline: nix\n")}, 3, []string{`nix.yaml:1:11: pipeline "nix": no such file or directory, want one of offload-100g`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"sweep"}, tt.args...)
			if !slices.Contains(args, "--dir") {
				args = append(args, "--dir", filepath.Join(t.TempDir(), "run"))
			}
			code, stdout, stderr := result(t, meshnic(t, args...))
			require.Equal(t, tt.code, code, "stderr: %s", stderr)
			if !strings.Contains(stderr, "can be built") { // there the table says which and why
				require.Empty(t, stdout)
			}
			require.Contains(t, stderr, "next: ")
			for _, s := range tt.says {
				require.Contains(t, stderr, s)
			}
			require.NotContains(t, stderr, "goroutine")
		})
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nothing to merge":      {[]string{"--merge"}, 2, "requires at least 1 arg"},
		"merge of nothing":      {[]string{"--merge", filepath.Join(dir, "none")}, 3, "name a folder of a sweep"},
		"merge of a thing":      {[]string{"--merge", thing}, 3, "is no header of a sweep's points"},
		"folder without merge":  {[]string{dir, "--dir", "x"}, 2, "--dir and --chart: are of --merge"},
		"figure with merge":     {[]string{"--merge", thing, "--figure", "x.svg"}, 2, "--figure is of a run folder"},
		"two without the merge": {[]string{dir, dir}, 2, "accepts 1 arg"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := result(t, meshnic(t, append([]string{"report"}, tt.args...)...))
			require.Equal(t, tt.code, code, "stderr: %s", stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, tt.says)
		})
	}
}
