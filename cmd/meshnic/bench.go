package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/bench/report"
	"github.com/meshnic/meshnic/hostif/fault"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

type benchFlags struct {
	quick       bool
	repeats     int
	connections []int
	systems     []string
	rate        float64
	duration    time.Duration
	work        string
	accessLog   bool
	fault       string
	placement   string
	envoy       string
	dir         string
	output      string
	seed        uint64
}

// experiment is one thing bench can run.
type experiment struct {
	name string // on the command line
	file string // in the run folder
	run  func(context.Context, *bench.Run) (bench.Document, error)
}

var experiments = []experiment{
	{"curl", "curl", bench.Curl},
	{"link", "link", bench.Link},
	{"hop", "hop", bench.Hop},
	{"bookinfo", "bookinfo", bench.Bookinfo},
}

func newBench() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench [curl|link|hop|bookinfo]...",
		Short: "Measure the same work through every system, interleaved",
		Long: `bench runs the experiments on real traffic in network namespaces of its own:

  curl      python3 -m http.server and curl, direct and through the NIC
  link      TCP ping-pong and bulk TCP: what a hop through the NIC costs
  hop       one small backend behind each proxy, one and two hops
  bookinfo  Bookinfo behind nothing, the sidecar, the real Envoy, and the NIC

Without a name it runs all of them, bookinfo as polyglot, as native and, unless --quick, at one
connection as paper work: the paper's systems and variants of one of them, from which the report
says what the ratios come from. It prints tables, writes a run folder with one JSON document an experiment, every configuration file,
report.html and manifest.json, and prints the folder's name last.

Without root it does the same inside a user and network namespace, over AF_PACKET.`,
		ValidArgs: []string{"curl", "link", "hop", "bookinfo"},
		Args:      cobra.OnlyValidArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			outliveReader()
			return runBench(cmd, args, f)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.quick, "quick", false, "the same work in under a minute: fewer and shorter repeats, Bookinfo at 1, 2 and 8 connections")
	fl.IntVar(&f.repeats, "repeats", 0, "repeats of every cell (default 5; 1 with --quick)")
	fl.IntSliceVarP(&f.connections, "connections", "c", nil, "connection counts, instead of the experiment's own")
	fl.StringSliceVar(&f.systems, "systems", nil, "only these systems; the experiment's baseline is always run")
	fl.Float64Var(&f.rate, "rate", 0, "requests a second in an open loop (default: closed loop)")
	fl.DurationVar(&f.duration, "duration", 0, "length of one repeat of a cell, instead of the experiment's own")
	fl.StringVar(&f.work, "work", "", "bookinfo: polyglot (CPU as measured on the original), native (none) or paper (16.51 ms; the paper's systems at 1 connection, if not told otherwise)")
	fl.BoolVar(&f.accessLog, "access-log", false, "hop: every proxy writes a line a request, in Envoy's default format or its own")
	fl.StringVar(&f.fault, "fault", "", "faults on the NIC's ports: loss=1%,dup=1%,reorder=1%,corrupt=0.1%,delay=2ms")
	fl.StringVar(&f.placement, "placement", "", "one (everything on one core) or any (the kernel's choice); default: the experiment's own")
	fl.StringVar(&f.envoy, "envoy", os.Getenv("MESHNIC_ENVOY"), "the Envoy to compare with ($MESHNIC_ENVOY; default: the checkout's, then PATH)")
	fl.StringVar(&f.dir, "dir", "", "run folder (default: runs/<time>)")
	fl.StringVarP(&f.output, "output", "o", "table", "table, json or csv; json and csv take one experiment")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of every random choice")
	cmd.AddCommand(newSoak())
	return cmd
}

func (f benchFlags) check(args []string) error {
	if err := oneOf("output", f.output, "table", "json", "csv"); err != nil {
		return err
	}
	if f.output != "table" && len(args) != 1 {
		return failure.Usagef("-o %s prints one document: name one experiment, for example: meshnic bench hop -o %s", f.output, f.output)
	}
	if f.work != "" {
		if err := oneOf("work", f.work, "polyglot", "native", "paper"); err != nil {
			return err
		}
	}
	if f.accessLog && (len(args) != 1 || args[0] != "hop") {
		return failure.Usagef("--access-log is for the hop experiment: meshnic bench hop --access-log")
	}
	if f.repeats < 0 || f.rate < 0 || f.duration < 0 {
		return failure.Usagef("--repeats, --rate and --duration must not be negative")
	}
	if !(f.rate <= load.MaxRate) {
		return failure.Usagef("--rate %g: want 0 (closed loop) to %d requests a second", f.rate, load.MaxRate)
	}
	for _, c := range f.connections {
		if c < 1 || c > 1024 {
			return failure.Usagef("--connections %d: want 1 to 1024", c)
		}
	}
	if _, err := fault.Parse(f.fault); err != nil {
		return err
	}
	if err := bench.CheckPlacement(f.placement); err != nil {
		return err
	}
	return bench.CheckSystems(f.systems)
}

func runBench(cmd *cobra.Command, args []string, f benchFlags) error {
	if err := f.check(args); err != nil {
		return err
	}
	if !netns.Privileged() {
		return reenter()
	}
	if f.repeats == 0 {
		f.repeats = 5
		if f.quick {
			f.repeats = 1
		}
	}
	dir, err := runFolder(f.dir)
	if err != nil {
		return err
	}
	defer dropEmpty(dir)
	opt, err := f.options(cmd, dir)
	if err != nil {
		return err
	}
	docs, err := measure(cmd.Context(), opt, chosen(args, f))
	if err != nil {
		return err
	}
	if err := writeReport(dir); err != nil {
		return err
	}
	var parts []bench.Manifest
	for _, d := range docs {
		parts = append(parts, d.Manifest)
	}
	if err := bench.WriteRunManifest(dir, parts...); err != nil {
		return err
	}
	if err := printDocuments(cmd.OutOrStdout(), docs, f.output); err != nil {
		return err
	}
	say := cmd.OutOrStdout()
	if f.output != "table" {
		say = cmd.ErrOrStderr()
	}
	fmt.Fprintln(say, dir)
	return trust(docs)
}

// options are the flags as the bench takes them.
func (f benchFlags) options(cmd *cobra.Command, dir string) (bench.Options, error) {
	exe, err := os.Executable()
	return bench.Options{
		Exe: exe, Envoy: f.envoy, Dir: dir, Command: os.Args, Version: version, Seed: f.seed, Quick: f.quick,
		Repeats: f.repeats, Connections: f.connections, Systems: f.systems, Rate: f.rate, Duration: f.duration,
		Work: f.work, AccessLog: f.accessLog, Fault: f.fault, Placement: f.placement, Unprivileged: netns.Entered() == "unprivileged",
		Log:      func(format string, a ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", a...) },
		Progress: progress(cmd.ErrOrStderr()),
	}, err
}

// task is one experiment with the work it is run with.
type task struct {
	experiment
	work string // of bookinfo
}

// chosen lists what to run, in order. Bookinfo is run with every kind of work, if
// there is room for it in the output and the time.
func chosen(args []string, f benchFlags) []task {
	var tasks []task
	for _, e := range experiments {
		if len(args) > 0 && !slices.Contains(args, e.name) {
			continue
		}
		switch {
		case e.name != "bookinfo":
			tasks = append(tasks, task{e, ""})
		case f.work != "":
			tasks = append(tasks, task{e, f.work})
		default:
			tasks = append(tasks, task{e, "polyglot"})
			if f.output == "table" {
				tasks = append(tasks, task{e, "native"})
			}
			if f.output == "table" && !f.quick {
				tasks = append(tasks, task{e, "paper"})
			}
		}
	}
	return tasks
}

func measure(ctx context.Context, opt bench.Options, tasks []task) ([]bench.Document, error) {
	var docs []bench.Document
	for _, t := range tasks {
		opt := opt
		opt.Work = t.work
		r, err := bench.NewRun(ctx, opt)
		if err != nil {
			return nil, err
		}
		d, err := t.run(ctx, r)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// runFolder makes the folder of a run: the one the user names, or a new one
// under runs/.
func runFolder(dir string) (string, error) {
	if dir == "" {
		dir = filepath.Join("runs", time.Now().Format("20060102-150405"))
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return "", failure.New(failure.Conflict, "use run folder "+dir, "it is not empty", "name another one with --dir")
	}
	return dir, failure.Wrap(failure.Usage, os.MkdirAll(dir, 0o755), "make run folder", "name a folder that can be written with --dir")
}

// dropEmpty removes the folder of a run that ended before it wrote anything.
func dropEmpty(dir string) {
	// Remove fails where there is anything in it.
	os.Remove(filepath.Join(dir, "logs"))
	os.Remove(dir)
	if runs := filepath.Dir(dir); filepath.Base(runs) == "runs" {
		os.Remove(runs)
	}
}

func writeReport(dir string) error {
	run, err := report.Load(dir)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "report.html"))
	if err != nil {
		return err
	}
	if err := errors.Join(report.HTML(f, run), f.Close()); err != nil {
		return err
	}
	var causes bytes.Buffer
	if ok, err := report.CausesMarkdown(&causes, run); !ok || err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "causes.md"), causes.Bytes(), 0o644)
}

func printDocuments(w io.Writer, docs []bench.Document, format string) error {
	for _, d := range docs {
		var err error
		switch format {
		case "json":
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			err = enc.Encode(d)
		case "csv":
			err = report.CSV(w, d)
		default:
			err = report.Table(w, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// trust returns an Untrusted failure if any document warns.
func trust(docs []bench.Document) error {
	var why []string
	for _, d := range docs {
		why = append(why, d.Warnings...)
	}
	if len(why) == 0 {
		return nil
	}
	return failure.New(failure.Untrusted, "the result is not trustworthy", strings.Join(why, "; "), "close what else runs on this host and repeat")
}

// progress draws a bar an experiment, on a terminal only.
func progress(w io.Writer) func(string, int, int) {
	if !terminal(w) {
		return func(string, int, int) {}
	}
	var bar *progressbar.ProgressBar
	return func(name string, done, total int) {
		if done == 0 {
			bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(name),
				progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(40))
		}
		bar.Set(done)
	}
}

// terminal reports whether w is a character device, as a terminal is.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
