package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/bench/sweep"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/internal/failure"
)

type sweepFlags struct {
	pipeline string
	plan     string
	vary     []string
	bytes    string
	frames   string
	gap      string
	inputs   string
	sink     []string
	phases   int
	engine   string
	dest     string
	chart    string
	dir      string
	shard    string
	shards   int
	workers  int
}

func newSweep() *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use:   "sweep --pipeline NAME|FILE --vary STAGE.PARAM=RANGE | --plan FILE",
		Short: "Try a pipeline at many clocks, widths, depths: latency, throughput, drops, area",
		Long: `sweep runs a pipeline at every combination of what varies with every traffic, on all cores,
and writes a folder: points.jsonl, points.csv, pareto.svg, index.html, manifest.json. All of it
is model time; areas are ranges with their sources, never results of synthesis. Latency is of the
first frame, throughput is measured at saturation: frames back to back, until the rate is steady.

  meshnic sweep --pipeline passthrough-10g --vary rx_fifo.DEPTH=512..65536:x2 --bytes 60,1514
  meshnic sweep --pipeline mine.yaml --vary width=64,128,256,512 --vary clock_mhz=156.25,250 \
                --vary pcie_latency_ns=300..900:+100 --sink none,alt50
  meshnic sweep --plan plan.yaml --dir runs/night        # ctrl-C; the same line again goes on
  meshnic sweep --plan plan.yaml --shard 0/2 --dir a     # on one machine
  meshnic sweep --plan plan.yaml --shard 1/2 --dir b     # on another
  meshnic report --merge a b --dir both

What varies: STAGE.PARAM, PARAM for every stage that has it, STAGE.clock_mhz, or a word:
` + sweep.Words() + `
Several with commas before = take the same value: 'rx_cross.M_CLK_MHZ,tx_cross.S_CLK_MHZ=200,250'.
A range is a list 64,128, a..b:+step, or a..b:xfactor. A point that cannot be built keeps its row,
with the reason.

A plan is a YAML file with the same words:

  pipeline: passthrough-10g          # built in, or a file beside the plan
  vary:
    rx_fifo.DEPTH: 512..65536:x2
    table_size: [1024, 4096]
  traffic: {bytes: [60, 1514], frames: 64, sink: [none, alt50]}
  chart: latency:bram36

In an array job each task takes its shard from ` + sweep.Schedulers + `.

Sinks:  ` + strings.Join(sim.Patterns, ", ") + `.
Charts: Y:X of ` + sweep.AxisNames() + `.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSweep(cmd, f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.pipeline, "pipeline", "", "name of a built-in pipeline, a YAML file, or - for standard input")
	fl.StringVar(&f.plan, "plan", "", "YAML file with pipeline, vary, traffic and chart, instead of the flags for them")
	fl.StringArrayVar(&f.vary, "vary", nil, "TARGET[,TARGET...]=RANGE; may be given several times")
	fl.StringVar(&f.bytes, "bytes", "60", "bytes of a frame, without FCS; a range")
	fl.StringVar(&f.frames, "frames", "64", "frames on each input; a range")
	fl.StringVar(&f.gap, "gap", "0", "idle cycles before each frame after the first; a range")
	fl.StringVar(&f.inputs, "inputs", "1", "inputs with traffic; a range")
	fl.StringSliceVar(&f.sink, "sink", []string{"none"}, "when the followed output is taken, the last stage's first that gives a frame; a list")
	fl.IntVar(&f.phases, "phases", 1, "runs of each point, with the phase of the second clock spread evenly")
	fl.StringVar(&f.engine, "engine", "maxplus", strings.Join(pipeline.Engines, " or ")+"; both give the same")
	fl.StringVar(&f.dest, "dest", "0", "tdest of the frames: one for all inputs, or one each (0,64); with slashes in turn (0/64)")
	fl.StringVar(&f.chart, "chart", "", "axes of the chart, Y:X (default: latency against what the sweep changes)")
	fl.StringVar(&f.dir, "dir", "", "folder (default: runs/sweep-<plan>); a sweep that was interrupted goes on in it")
	fl.StringVar(&f.shard, "shard", "", "i/n: only every n-th point, from the i-th on")
	fl.IntVar(&f.shards, "shards", 0, "number of shards, where the scheduler tells only which one this is")
	fl.IntVar(&f.workers, "workers", 0, "points at a time; 0: one for each core this process may use")
	return cmd
}

func runSweep(cmd *cobra.Command, f sweepFlags) error {
	started := time.Now()
	plan, err := f.read(cmd)
	if err != nil {
		return err
	}
	shard, err := sweep.FindShard(f.shard, f.shards, os.Getenv)
	if err != nil {
		return err
	}
	if f.workers < 0 || f.workers > 4096 {
		return failure.New(failure.Usage, fmt.Sprintf("--workers %d", f.workers), "want 0 to 4096", "leave --workers away: all cores work")
	}
	workers := cmp.Or(f.workers, runtime.GOMAXPROCS(0))
	dir, err := f.folder(plan, shard)
	if err != nil {
		return err
	}
	say := cmd.ErrOrStderr()
	if !shard.Whole() {
		fmt.Fprintf(say, "shard %s, by %s: %d of %d points\n", shard, shard.From, shard.Size(plan.Size()), plan.Size())
	}
	store, err := sweep.OpenStore(dir, plan, version)
	if err != nil {
		return err
	}
	defer store.Close()
	if store.Broken > 0 {
		fmt.Fprintf(say, "the last line of %s was half written: %d bytes taken off\n", sweep.PointsFile, store.Broken)
	}
	if store.Resumed > 0 {
		fmt.Fprintf(say, "%d points are there from before\n", store.Resumed)
	}
	if err := plan.Run(cmd.Context(), store, shard, workers, ticking(say, plan.Pipeline.Name)); err != nil {
		if errors.Is(err, context.Canceled) {
			return failure.New(failure.Unexpected, "sweep", fmt.Sprintf("%v; %d points are in %s", context.Cause(cmd.Context()), len(store.Points()), dir), "the same command goes on from there")
		}
		return err
	}
	if err := store.Finish(); err != nil {
		return err
	}
	m := sweep.NewManifest(plan, version, os.Args, started)
	m.Shard, m.Shards, m.From, m.Resumed = shard.Index, max(shard.Count, 1), shard.From, store.Resumed
	m.WallS = time.Since(started).Seconds()
	m.Rate = float64(len(store.Points())-store.Resumed) / m.WallS
	var gone []int // that no shard of this folder has
	for i := range plan.Size() {
		if !store.Has(i) {
			gone = append(gone, i)
		}
	}
	if err := writeSweep(cmd.OutOrStdout(), dir, plan, store.Points(), gone, &m); err != nil {
		return err
	}
	return allFailed(store.Points(), f.plan)
}

// allFailed is an error if no point could be built.
func allFailed(points []sweep.Point, plan string) error {
	for _, p := range points {
		if p.Error == "" {
			return nil
		}
	}
	if len(points) == 0 { // a shard of more shards than points
		return nil
	}
	kind := failure.Usage
	if plan != "" {
		kind = failure.BadFile
	}
	return failure.New(kind, "sweep", fmt.Sprintf("none of %d points can be built; the first: %s", len(points), points[0].Error), "points.csv has the reason of each")
}

// read returns the plan of the file or of the flags.
func (f sweepFlags) read(cmd *cobra.Command) (*sweep.Plan, error) {
	chart, err := sweep.ParseChart(f.chart)
	if err != nil {
		return nil, failure.Wrap(failure.Usage, err, "--chart", "meshnic sweep --help")
	}
	if f.plan != "" {
		for _, name := range []string{"pipeline", "vary", "bytes", "frames", "gap", "inputs", "sink", "phases", "engine", "dest"} {
			if cmd.Flags().Changed(name) {
				return nil, failure.New(failure.Usage, "--plan with --"+name, "the plan says that", "change the plan, or leave --plan away")
			}
		}
		text, err := os.ReadFile(f.plan)
		if err != nil {
			return nil, failure.Wrap(failure.BadFile, err, "read plan "+f.plan, "name a file that can be read")
		}
		p, err := sweep.ParsePlan(text, f.plan, f.beside)
		if err == nil && f.chart != "" {
			p.Chart = chart
		}
		return p, err
	}
	if f.pipeline == "" {
		return nil, failure.New(failure.Usage, "no pipeline", "neither --pipeline nor --plan is given",
			"meshnic sweep --pipeline "+pipeline.Shipped()[0]+" --vary clock_mhz=200,250; built in are "+strings.Join(pipeline.Shipped(), ", "))
	}
	d, _, err := readPipeline(f.pipeline, cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	p := &sweep.Plan{Pipeline: d, Chart: chart, Traffic: sweep.Traffic{Sink: f.sink, Phases: f.phases, Engine: f.engine, Dest: f.dest}}
	for _, text := range f.vary {
		v, err := sweep.ParseVary(text)
		if err != nil {
			return nil, failure.Wrap(failure.Usage, err, "--vary "+text, "meshnic sweep --help has examples")
		}
		p.Vary = append(p.Vary, v)
	}
	for _, x := range []struct {
		name, text string
		to         *[]int
	}{{"bytes", f.bytes, &p.Traffic.Bytes}, {"frames", f.frames, &p.Traffic.Frames}, {"gap", f.gap, &p.Traffic.Gap}, {"inputs", f.inputs, &p.Traffic.Inputs}} {
		values, err := sweep.ParseRange(x.text)
		if err == nil {
			*x.to, err = sweep.Whole(values)
		}
		if err != nil {
			return nil, failure.Wrap(failure.Usage, err, "--"+x.name, "meshnic sweep --help has examples")
		}
	}
	return p, p.Complete()
}

// beside reads the pipeline that a plan names: built in, or a file from the
// plan's folder.
func (f sweepFlags) beside(name string) (*pipeline.Description, error) {
	if _, _, ok := pipeline.Load(name); !ok {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(f.plan), name)
		}
		if _, err := os.Stat(name); err != nil {
			return nil, &sweep.NoPipeline{Err: errors.Unwrap(err)}
		}
	}
	d, _, err := readPipeline(name, nil)
	return d, err
}

// folder is the user's, or one whose name follows from the plan, so that the
// same command finds it again.
func (f sweepFlags) folder(p *sweep.Plan, s sweep.Shard) (string, error) {
	dir := f.dir
	if dir == "" {
		dir = filepath.Join("runs", "sweep-"+p.Hash()[:12])
		if !s.Whole() {
			dir += fmt.Sprintf("-%d-of-%d", s.Index, s.Count)
		}
	}
	return filepath.Abs(dir)
}

// ticking draws a bar on a terminal, ten times a second at most.
func ticking(w io.Writer, name string) func(done, total int) {
	draw, last := progress(w), time.Time{}
	return func(done, total int) {
		switch now := time.Now(); {
		case last.IsZero():
			draw(name, 0, total)
			fallthrough
		case done == total || now.Sub(last) > 100*time.Millisecond:
			if last = now; done > 0 {
				draw(name, done, total)
			}
		}
	}
}

// mergeSweeps puts the points of several folders into one.
func mergeSweeps(cmd *cobra.Command, from []string, dir, chart string) error {
	started := time.Now()
	var files []*sweep.File
	for _, name := range from {
		f, err := sweep.ReadFile(name)
		if err != nil {
			return err
		}
		if f.Broken > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: the last line is half written; left out\n", f.Name)
		}
		files = append(files, f)
	}
	all, err := sweep.Merge(files)
	if err != nil {
		return err
	}
	plan := all.Head.Plan
	if chart != "" {
		if plan.Chart, err = sweep.ParseChart(chart); err != nil {
			return failure.Wrap(failure.Usage, err, "--chart", "meshnic report --help")
		}
	}
	if dir == "" {
		dir = filepath.Join("runs", "sweep-"+plan.Hash()[:12]+"-merged")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	store, err := sweep.OpenStore(dir, plan, all.Head.Version) // refuses a folder of something else
	if err != nil {
		return err
	}
	defer store.Close()
	if err := all.Save(dir); err != nil {
		return err
	}
	m := sweep.NewManifest(plan, all.Head.Version, os.Args, started)
	m.Merged, m.WallS = from, time.Since(started).Seconds()
	missing := all.Missing()
	if err := writeSweep(cmd.OutOrStdout(), dir, plan, all.Points, missing, &m); err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	next := "run the missing shards and merge again"
	if shards := sweep.Lacking(files, missing); len(shards) > 0 {
		next = "run again, and merge again: --shard " + strings.Join(shards, ", --shard ")
	}
	return failure.New(failure.Gate, "merge", fmt.Sprintf("%d of %d points are missing: %s", len(missing), plan.Size(), sweep.Ranges(missing, 12)), next)
}
