package sweep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

// shards runs some of n shards, each into a folder with its manifest.
func shards(t *testing.T, p *Plan, n int, which ...int) (files []*File) {
	t.Helper()
	for _, i := range which {
		dir := t.TempDir()
		into(t, dir, p, Shard{Index: i, Count: n}, 2)
		m := NewManifest(p, "v1", []string{"meshnic", "sweep"}, time.Unix(0, 0))
		m.Shard, m.Shards = i, n
		require.NoError(t, m.Save(dir))
		f, err := ReadFile(dir)
		require.NoError(t, err)
		files = append(files, f)
	}
	return files
}

func TestMissingShards(t *testing.T) {
	p := parsePlan(t, small)
	files := shards(t, p, 4, 0, 2)
	all, err := Merge(files)
	require.NoError(t, err)
	missing := all.Missing()
	require.Len(t, missing, p.Size()/2)
	require.Equal(t, []string{"1/4", "3/4"}, Lacking(files, missing))
	require.Empty(t, Lacking(append(files, shards(t, p, 3, 1)...), missing), "they do not agree on how many there are")
	require.Equal(t, "1, 3, 5, …", Ranges(missing, 3))
	require.Equal(t, "0-2, 5, 7-8", Ranges([]int{0, 1, 2, 5, 7, 8}, 3))
	require.Empty(t, Ranges(nil, 3))
}

func TestShardsThatOverlap(t *testing.T) {
	p := parsePlan(t, small)
	all, err := Merge(append(shards(t, p, 2, 0, 1), shards(t, p, 3, 1)...))
	require.NoError(t, err)
	require.Empty(t, all.Missing())
	require.Len(t, all.Points, p.Size())
}

func TestWhatCannotBeMerged(t *testing.T) {
	p := parsePlan(t, small)
	one := shards(t, p, 2, 0)
	other := shards(t, parsePlan(t, strings.Replace(small, "frames: 8", "frames: 9", 1)), 2, 1)
	_, err := Merge(append(one, other...))
	require.ErrorContains(t, err, "they are of different plans (another traffic)")
	require.Equal(t, failure.Conflict, failure.KindOf(err))

	newer := shards(t, p, 2, 1)
	newer[0].Head.Version = "v2"
	_, err = Merge(append(one, newer...))
	require.ErrorContains(t, err, "their figures are of versions v2 and v1")

	wrong := shards(t, p, 2, 0)
	wrong[0].Points[3].Delivered++
	_, err = Merge(append(one, wrong...))
	require.ErrorContains(t, err, "merge point 6: ")
	require.ErrorContains(t, err, "differ, though both are of one plan and version")
	require.Equal(t, failure.Untrusted, failure.KindOf(err))
}

func TestReadFile(t *testing.T) {
	p := parsePlan(t, small)
	dir := t.TempDir()
	whole, _ := into(t, dir, p, Shard{}, 2)
	lines := strings.SplitAfter(whole, "\n")
	for name, tt := range map[string]struct{ text, want string }{
		"empty":          {"", ":1:1: is no header"},
		"other schema":   {strings.Replace(whole, Schema, "meshnic.sweep/9", 1), `:1:1: schema is "meshnic.sweep/9"`},
		"plan by hand":   {strings.Replace(whole, `"n_frames":[8]`, `"n_frames":[7]`, 1), ":1:1: the plan is not the one of plan_sha256"},
		"no point":       {lines[0] + "7\n" + lines[1], ":2:1: is no point"},
		"no figures":     {lines[0] + `{"point":1}` + "\n" + lines[1], ":2:1: is no point: neither figures nor an error"},
		"twice, differs": {whole + strings.Replace(lines[1], `"finished":true`, `"finished":false`, 1), "point 0 comes twice, and differs"},
		"beyond":         {whole + `{"point":16,"error":"x"}` + "\n", "point 16, want 0 to 15"},
		"negative":       {lines[0] + `{"point":-1,"error":"x"}` + "\n" + lines[1], ":2:1: point -1, want 0 to 15"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), PointsFile)
			require.NoError(t, os.WriteFile(file, []byte(tt.text), 0o644))
			_, err := ReadFile(file)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, failure.BadFile, failure.KindOf(err))
		})
	}
	_, err := ReadFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorContains(t, err, "name a folder of a sweep")

	file := filepath.Join(t.TempDir(), PointsFile)
	require.NoError(t, os.WriteFile(file, []byte(whole+lines[1]+lines[2][:9]), 0o644))
	f, err := ReadFile(file)
	require.NoError(t, err, "the same point twice is no contradiction")
	require.Len(t, f.Points, p.Size())
	require.Equal(t, 9, f.Broken)
}

func FuzzReadFile(f *testing.F) {
	p := parsePlan(f, "pipeline: passthrough-10g\ntraffic: {frames: 1}")
	head := File{Head: p.head("v1")}
	dir := f.TempDir()
	require.NoError(f, head.Save(dir))
	text, err := os.ReadFile(filepath.Join(dir, PointsFile))
	require.NoError(f, err)
	f.Add(text)
	f.Add(append(text, `{"point":0,"error":"x"}`+"\n"...))
	f.Add(append(text, `{"point":0,"area":{},"saturation":{}}`+"\n"...))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var file File
		if n, err := file.read(text); err == nil {
			require.LessOrEqual(t, file.size+int64(file.Broken), int64(len(text)))
			all := file.Head.Plan.Chart.View(file.Points)
			require.NoError(t, file.Head.Plan.WriteCSV(t.Output(), file.Points, all))
		} else {
			require.Positive(t, n)
		}
	})
}
