package sweep

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

// Whatever the number of shards, and whether they are counted from 0 or from 1,
// every point is in exactly one.
func TestShardsCoverAll(t *testing.T) {
	none := func(string) string { return "" }
	for _, points := range []int{0, 1, 7, 64} {
		for _, n := range []int{1, 2, 5, 9, 100} {
			for base := range 2 {
				in := make([]int, points)
				for i := range n {
					s, err := FindShard(fmt.Sprintf("%d/%d", i+base, n), 0, none)
					require.NoError(t, err)
					size := 0
					for k := range points {
						if s.Has(k) {
							in[k]++
							size++
						}
					}
					require.Equal(t, size, s.Size(points), "%s of %d", s, points)
				}
				for k := range in {
					require.Equal(t, 1, in[k], "point %d of %d, %d shards from %d", k, points, n, base)
				}
			}
		}
	}
}

func TestFindShard(t *testing.T) {
	slurm := func(id, count, low, high, step string) map[string]string {
		return map[string]string{
			"SLURM_ARRAY_TASK_ID": id, "SLURM_ARRAY_TASK_COUNT": count,
			"SLURM_ARRAY_TASK_MIN": low, "SLURM_ARRAY_TASK_MAX": high, "SLURM_ARRAY_TASK_STEP": step,
		}
	}
	k8s := func(i, name, n string) map[string]string {
		return map[string]string{"JOB_COMPLETION_INDEX": i, name: n}
	}
	for _, tt := range []struct {
		name  string
		flag  string
		count int
		env   map[string]string
		want  string // shard and where it was found, or the error
	}{
		{"nothing", "", 0, nil, "0/1 "},
		{"flag", "3/4", 0, nil, "3/4 --shard"},
		{"flag, counted from 1", "4/4", 0, nil, "0/4 --shard"},
		{"flag before the environment", "1/2", 0, slurm("5", "9", "0", "8", "1"), "1/2 --shard"},
		{"flag and a number that agrees", "1/2", 2, nil, "1/2 --shard"},
		{"array from 0", "", 0, slurm("5", "8", "0", "7", "1"), "5/8 SLURM_ARRAY_TASK_ID"},
		{"array from 1", "", 0, slurm("1", "8", "1", "8", "1"), "0/8 SLURM_ARRAY_TASK_ID"},
		{"array with a step", "", 0, slurm("20", "4", "0", "30", "10"), "2/4 SLURM_ARRAY_TASK_ID"},
		{"array of one", "", 0, slurm("7", "1", "7", "7", "1"), "0/1 SLURM_ARRAY_TASK_ID"},
		{"array without a count", "", 0, slurm("5", "", "2", "9", ""), "3/8 SLURM_ARRAY_TASK_ID"},
		{"part of an array again", "", 16, slurm("5", "2", "5", "9", "1"), "5/16 SLURM_ARRAY_TASK_ID"},
		{"indexed job", "", 0, k8s("2", "JOB_COMPLETIONS", "3"), "2/3 JOB_COMPLETION_INDEX"},
		{"indexed job, our variable", "", 0, k8s("2", "MESHNIC_SHARDS", "3"), "2/3 JOB_COMPLETION_INDEX"},
		{"indexed job, flag", "", 4, k8s("2", "JOB_COMPLETIONS", "3"), "2/4 JOB_COMPLETION_INDEX"},

		{"5/4", "5/4", 0, nil, `--shard "5/4": want i/n, with i from 0 to n-1 or from 1 to n`},
		{"negative", "-1/4", 0, nil, `--shard "-1/4": want i/n`},
		{"of none", "0/0", 0, nil, `--shard "0/0": want i/n`},
		{"no fraction", "3", 0, nil, `--shard "3": want i/n`},
		{"words", "a/b", 0, nil, `--shard "a/b": want i/n`},
		{"contradiction", "1/2", 3, nil, "--shard 1/2: --shards is 3"},
		{"which one", "", 4, nil, "which of them is not known: neither SLURM_ARRAY_TASK_ID"},
		{"negative number", "", -1, nil, "--shards -1: want at least 1"},
		{"holes", "", 0, slurm("1", "3", "1", "7", "1"), "SLURM_ARRAY_TASK_ID=1: an array of 3 tasks from 1 has holes"},
		{"beside the step", "", 0, slurm("15", "4", "0", "30", "10"), "has holes"},
		{"no count, no end", "", 0, slurm("5", "", "", "", ""), "neither SLURM_ARRAY_TASK_COUNT nor SLURM_ARRAY_TASK_MAX is set"},
		{"id is a word", "", 0, slurm("x", "4", "0", "3", "1"), "SLURM_ARRAY_TASK_ID=x: is not a number"},
		{"id beyond the shards", "", 4, slurm("9", "10", "0", "9", "1"), "SLURM_ARRAY_TASK_ID=9: is more than --shards 4"},
		{"index without a number", "", 0, k8s("2", "", ""), "the number of completions is not known"},
		{"index beyond", "", 0, k8s("3", "JOB_COMPLETIONS", "3"), "JOB_COMPLETION_INDEX=3: is not below 3 shards"},
		{"index is a word", "", 0, k8s("x", "JOB_COMPLETIONS", "3"), "JOB_COMPLETION_INDEX=x: is not a number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := FindShard(tt.flag, tt.count, func(name string) string { return tt.env[name] })
			if err == nil {
				require.Equal(t, tt.want, s.String()+" "+s.From)
				return
			}
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "next: ")
			require.Equal(t, failure.Usage, failure.KindOf(err))
		})
	}
}

// The tasks of an array, as Slurm would number them, cover all shards once.
func TestArrays(t *testing.T) {
	for _, a := range []struct{ low, high, step int }{{0, 7, 1}, {1, 8, 1}, {3, 30, 4}, {0, 1, 1}} {
		seen := map[string]bool{}
		n := (a.high-a.low)/a.step + 1
		for id := a.low; id <= a.high; id += a.step {
			last := a.low + (n-1)*a.step // Slurm says the last task, not the end of the range
			env := map[string]int{
				"SLURM_ARRAY_TASK_ID": id, "SLURM_ARRAY_TASK_COUNT": n, "SLURM_ARRAY_TASK_MIN": a.low, "SLURM_ARRAY_TASK_MAX": last, "SLURM_ARRAY_TASK_STEP": a.step,
			}
			s, err := FindShard("", 0, func(name string) string {
				if v, ok := env[name]; ok {
					return strconv.Itoa(v)
				}
				return ""
			})
			require.NoError(t, err)
			require.False(t, seen[s.String()], "%v: %s twice", a, s)
			seen[s.String()] = true
		}
		require.Len(t, seen, n)
	}
}
