package sweep

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

const small = `
pipeline: reference-nic
vary: {fifo_depth: [2048, 4096], width: [256, 100], clock_mhz: [200, 250]}
traffic: {bytes: [60, 300], frames: 8}
`

func quiet(int, int) {}

// into runs a plan, or a shard of it, into a folder and returns what the folder
// says: the points and the table.
func into(t *testing.T, dir string, p *Plan, shard Shard, workers int) (points, table string) {
	t.Helper()
	s, err := OpenStore(dir, p, "v1")
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, p.Run(t.Context(), s, shard, workers, quiet))
	require.NoError(t, s.Finish())
	return contents(t, dir, p, s.Points())
}

func contents(t *testing.T, dir string, p *Plan, all []Point) (points, table string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, PointsFile))
	require.NoError(t, err)
	var csv bytes.Buffer
	require.NoError(t, p.WriteCSV(&csv, all, p.Chart.View(all)))
	return string(b), csv.String()
}

// One plan, one result: whatever the number of workers, of shards, and of runs.
func TestSamePlanSameBytes(t *testing.T) {
	p := parsePlan(t, small)
	points, table := into(t, t.TempDir(), p, Shard{}, 1)
	require.Equal(t, 1+p.Size(), bytes.Count([]byte(points), []byte("\n")))

	t.Run("workers", func(t *testing.T) {
		for _, workers := range []int{2, 17} {
			got, csv := into(t, t.TempDir(), parsePlan(t, small), Shard{}, workers)
			require.Equal(t, points, got)
			require.Equal(t, table, csv)
		}
	})
	t.Run("shards", func(t *testing.T) {
		for _, n := range []int{3, 20} {
			var files []*File
			for i := range n {
				dir := t.TempDir()
				into(t, dir, parsePlan(t, small), Shard{Index: i, Count: n}, 2)
				f, err := ReadFile(dir)
				require.NoError(t, err)
				files = append([]*File{f}, files...) // in any order
			}
			all, err := Merge(files)
			require.NoError(t, err)
			require.Empty(t, all.Missing())
			dir := t.TempDir()
			require.NoError(t, all.Save(dir))
			got, csv := contents(t, dir, p, all.Points)
			require.Equal(t, points, got)
			require.Equal(t, table, csv)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		dir := t.TempDir()
		ctx, stop := context.WithCancel(t.Context())
		s, err := OpenStore(dir, p, "v1")
		require.NoError(t, err)
		err = p.Run(ctx, s, Shard{}, 2, func(done, _ int) {
			if done >= 5 {
				stop()
			}
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Less(t, len(s.Points()), p.Size())
		require.NoError(t, s.Close())
		got, csv := into(t, dir, p, Shard{}, 3)
		require.Equal(t, points, got)
		require.Equal(t, table, csv)
	})
	t.Run("shard after shard in one folder", func(t *testing.T) {
		dir := t.TempDir()
		into(t, dir, p, Shard{Index: 1, Count: 3}, 2)
		into(t, dir, p, Shard{Index: 0, Count: 2}, 2)
		got, _ := into(t, dir, p, Shard{}, 2)
		require.Equal(t, points, got)
	})
	t.Run("again", func(t *testing.T) {
		dir := t.TempDir()
		into(t, dir, p, Shard{}, 2)
		got, _ := into(t, dir, p, Shard{}, 2)
		require.Equal(t, points, got)
	})
}

// Killed at any byte of its writing, a sweep goes on from there: what was whole
// stays, what was half is done again.
func TestKilledAtAnyByte(t *testing.T) {
	p := parsePlan(t, "pipeline: reference-nic\nvary: {fifo_depth: [2048, 4096]}\ntraffic: {bytes: [60, 300], frames: 8}")
	whole, _ := into(t, t.TempDir(), p, Shard{}, 2)
	head := bytes.IndexByte([]byte(whole), '\n') + 1
	cuts := []int{0, 1, head - 1, head, head + 1, len(whole) - 1, len(whole)}
	r := rand.New(rand.NewPCG(3, 4))
	for range 12 {
		cuts = append(cuts, r.IntN(len(whole)))
	}
	for _, cut := range cuts {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, PointsFile), []byte(whole[:cut]), 0o644))
		s, err := OpenStore(dir, p, "v1")
		require.NoError(t, err, "cut at %d", cut)
		lines := bytes.Count([]byte(whole[:cut]), []byte("\n"))
		require.Equal(t, max(lines-1, 0), s.Resumed, "cut at %d", cut)
		if cut >= head {
			require.Equal(t, cut-(bytes.LastIndexByte([]byte(whole[:cut]), '\n')+1), s.Broken)
		}
		require.NoError(t, s.Close())
		got, _ := into(t, dir, p, Shard{}, 2)
		require.Equal(t, whole, got, "cut at %d", cut)
	}
}

func TestProgressEndsAtTheTotal(t *testing.T) {
	p := parsePlan(t, small)
	s, err := OpenStore(t.TempDir(), p, "v1")
	require.NoError(t, err)
	defer s.Close()
	var seen []int
	shard := Shard{Index: 1, Count: 3}
	require.NoError(t, p.Run(t.Context(), s, shard, 2, func(done, total int) {
		require.Equal(t, shard.Size(p.Size()), total)
		seen = append(seen, done)
	}))
	for i, done := range seen {
		require.Equal(t, i, done)
	}
	require.Len(t, seen, shard.Size(p.Size())+1)
}

// A run whose context has ended does not wait for a long point.
func TestRunStopsSoon(t *testing.T) {
	p := parsePlan(t, "pipeline: passthrough-10g\nvary: {rx_fifo.DEPTH: [512, 1024]}\ntraffic: {bytes: 1500, frames: 5000, engine: tick}")
	s, err := OpenStore(t.TempDir(), p, "v1")
	require.NoError(t, err)
	defer s.Close()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	require.ErrorIs(t, p.Run(ctx, s, Shard{}, 1, quiet), context.DeadlineExceeded)
}

func TestFoldersThatAreNotOurs(t *testing.T) {
	p := parsePlan(t, small)
	for name, tt := range map[string]struct {
		make func(dir string) string
		want string
		kind failure.Kind
	}{
		"something else": {func(dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o644))
			return dir
		}, "it is not empty and holds no sweep", failure.Conflict},
		"another plan": {func(dir string) string {
			into(t, dir, parsePlan(t, "pipeline: reference-nic\ntraffic: {frames: 9}"), Shard{}, 1)
			return dir
		}, "it holds the points of another plan (another vary and another traffic)", failure.Conflict},
		"another version": {func(dir string) string {
			s, err := OpenStore(dir, p, "v0")
			require.NoError(t, err)
			require.NoError(t, s.Close())
			return dir
		}, "its points were made by version v0, this is v1", failure.Conflict},
		"another sweep is at it": {func(dir string) string {
			s, err := OpenStore(dir, p, "v1")
			require.NoError(t, err)
			t.Cleanup(func() { s.Close() })
			return dir
		}, "another sweep is writing to it", failure.Conflict},
		"below a file": {func(dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
			return filepath.Join(dir, "file", "run")
		}, "make the sweep's folder", failure.Usage},
		"a line in the middle is broken": {func(dir string) string {
			whole, _ := into(t, dir, p, Shard{}, 2)
			whole = whole[:len(whole)/2] + "\n{\n" + whole[len(whole)/2:]
			require.NoError(t, os.WriteFile(filepath.Join(dir, PointsFile), []byte(whole), 0o644))
			return dir
		}, ":1: is no point", failure.BadFile},
		"no points file at all": {func(dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, PointsFile), []byte("hello\nworld\n"), 0o644))
			return dir
		}, PointsFile + ":1:1: is no header of a sweep's points", failure.BadFile},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenStore(tt.make(t.TempDir()), p, "v1")
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "next: ")
			require.Equal(t, tt.kind, failure.KindOf(err))
		})
	}
	t.Run("cannot be written", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root may write everywhere")
		}
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o555))
		_, err := OpenStore(filepath.Join(dir, "run"), p, "v1")
		require.ErrorContains(t, err, "permission denied")
		require.Equal(t, failure.Usage, failure.KindOf(err))
	})
}
