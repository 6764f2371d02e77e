package sweep

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/internal/failure"
)

// Shard is the part of a sweep that one machine does: the points whose number
// leaves Index when divided by Count. Neighbours, which take about as long, go
// to different shards.
type Shard struct {
	Index, Count int
	From         string // where it was found; empty if nowhere: the whole sweep
}

// Whole reports whether the shard is the whole sweep.
func (s Shard) Whole() bool { return s.Count <= 1 }

// Has reports whether a point is the shard's.
func (s Shard) Has(point int) bool { return s.Whole() || point%s.Count == s.Index }

// Size is how many of n points the shard has.
func (s Shard) Size(n int) int {
	if s.Whole() {
		return n
	}
	return (n + s.Count - 1 - s.Index) / s.Count
}

func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, max(s.Count, 1)) }

// Schedulers lists where FindShard looks, for help texts.
const Schedulers = "SLURM_ARRAY_TASK_ID (with SLURM_ARRAY_TASK_COUNT, _MIN, _MAX and _STEP, or --shards) or JOB_COMPLETION_INDEX (with --shards, JOB_COMPLETIONS or MESHNIC_SHARDS)"

// FindShard returns the shard of --shard, or of an array job's environment;
// count is --shards, 0 if it was not given. Shards may be numbered from 0 or
// from 1: n/n is the same as 0/n, so that either way covers all.
func FindShard(flag string, count int, env func(string) string) (Shard, error) {
	f := finder{count, env}
	switch {
	case count < 0:
		return refused("--shards "+strconv.Itoa(count), "want at least 1", "meshnic sweep --shards 16")
	case flag != "":
		return f.flag(flag)
	case env("SLURM_ARRAY_TASK_ID") != "":
		return f.slurm()
	case env("JOB_COMPLETION_INDEX") != "":
		return f.kubernetes()
	case count > 1:
		return refused(fmt.Sprintf("--shards %d", count), "which of them is not known: neither "+Schedulers+" is set", fmt.Sprintf("meshnic sweep --shard 0/%d", count))
	}
	return Shard{Count: 1}, nil
}

type finder struct {
	count int
	env   func(string) string
}

func refused(what, why, next string) (Shard, error) {
	return Shard{}, failure.New(failure.Usage, what, why, next)
}

// number reads a variable; -1 if it is no number.
func (f finder) number(name string) int {
	if v, err := strconv.Atoi(f.env(name)); err == nil && v >= 0 {
		return v
	}
	return -1
}

func (f finder) flag(flag string) (Shard, error) {
	i, n, ok := strings.Cut(flag, "/")
	index, err1 := strconv.Atoi(i)
	total, err2 := strconv.Atoi(n)
	if !ok || err1 != nil || err2 != nil || total < 1 || index < 0 || index > total {
		return refused(fmt.Sprintf("--shard %q", flag), "want i/n, with i from 0 to n-1 or from 1 to n", "meshnic sweep --shard 0/4")
	}
	if f.count != 0 && f.count != total {
		return refused("--shard "+flag, fmt.Sprintf("--shards is %d", f.count), "leave --shards away")
	}
	return Shard{index % total, total, "--shard"}, nil
}

func (f finder) slurm() (Shard, error) {
	const from = "SLURM_ARRAY_TASK_ID"
	id, what := f.number(from), from+"="+f.env(from)
	if id < 0 {
		return refused(what, "is not a number", "meshnic sweep --shard i/n")
	}
	if f.count > 0 { // the number of shards is fixed: any part of the array may be submitted again
		if id > f.count {
			return refused(what, fmt.Sprintf("is more than --shards %d", f.count), fmt.Sprintf("sbatch --array=0-%d", f.count-1))
		}
		return Shard{id % f.count, f.count, from}, nil
	}
	low, high, step := max(f.number("SLURM_ARRAY_TASK_MIN"), 0), f.number("SLURM_ARRAY_TASK_MAX"), max(f.number("SLURM_ARRAY_TASK_STEP"), 1)
	whole := 0 // tasks from low to high
	if high >= low {
		whole = (high-low)/step + 1
	}
	total := f.number("SLURM_ARRAY_TASK_COUNT")
	if total < 1 {
		total = whole
	}
	if total < 1 {
		return refused(what, "neither SLURM_ARRAY_TASK_COUNT nor SLURM_ARRAY_TASK_MAX is set", "meshnic sweep --shards N, with N the size of the array")
	}
	index := (id - low) / step
	if id < low || (id-low)%step != 0 || index >= total || whole != 0 && whole != total {
		return refused(what, fmt.Sprintf("an array of %d tasks from %d has holes", total, low),
			"say how many shards there are with --shards N: task i is then shard i/N, whatever else is in the array")
	}
	return Shard{index, total, from}, nil
}

func (f finder) kubernetes() (Shard, error) {
	const from = "JOB_COMPLETION_INDEX"
	index, what, count := f.number(from), from+"="+f.env(from), f.count
	for _, name := range []string{"JOB_COMPLETIONS", "MESHNIC_SHARDS"} {
		if count < 1 {
			count = f.number(name)
		}
	}
	switch {
	case index < 0:
		return refused(what, "is not a number", "meshnic sweep --shard i/n")
	case count < 1:
		return refused(what, "the number of completions is not known", "meshnic sweep --shards N, or set JOB_COMPLETIONS or MESHNIC_SHARDS to the Job's completions")
	case index >= count:
		return refused(what, fmt.Sprintf("is not below %d shards", count), "set --shards, JOB_COMPLETIONS or MESHNIC_SHARDS to the Job's completions")
	}
	return Shard{index, count, from}, nil
}
