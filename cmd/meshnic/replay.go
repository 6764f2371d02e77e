package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/bench/replay"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
)

type replayFlags struct {
	pipeline string
	engine   string
	ports    string
	program  string
	config   string
	fallback string
	sums     bool
	hairpin  bool
	speed    float64
	gap      time.Duration
	b2b      bool
	skip     uint64
	limit    uint64

	vcd, perfetto, pcapng, waterfall, frames string
	output                                   string
}

func newReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay FILE.pcap[ng]|- --pipeline NAME|FILE",
		Short: "Send the frames of a capture through a pipeline: latency, throughput, occupancy, drops",
		Long: `replay sends recorded frames through a pipeline and prints what the card would have done with
them: latency of frames and stages, throughput, occupancy, drops with reasons. All of it is model
time; time 0 is that of the capture's first record. The NIC's program decides about each frame
(parser, TCP tracker, learning switch), the pipeline says in which cycles.

  meshnic replay web.pcapng --pipeline passthrough-100g
  tcpdump -i eth0 -w - -c 1000 | meshnic replay - --pipeline passthrough-10g -o json
  meshnic replay web.pcapng --pipeline mine.yaml --limit 50 --vcd web.vcd --perfetto web.pftrace \
                 --pcapng stages.pcapng --waterfall web.html --frames web.csv

A frame is known by the number of its record in the capture, from 1, in every output: frame in the
waveform, flow and id in the timeline, packet id and id=N in the capture, id in waterfall and frames.

Where frames come in: --ports one, all at one port, which is what a capture of one interface is;
interface, a port for each interface of a pcapng file, as 'meshnic attach --capture' writes it;
mac, port 0 for frames from the first source address and port 1 for all others, which parts the
directions of a capture that was taken on a wire; auto is interface if there are several, else one.
A chain becomes a card of so many ports.

With --program offload the NIC's proxy decides again as it did when attach --program offload captured; the
capture says with which seed and when. At another pace it still decides as it did then.

Captures taken on the sending host have unfinished checksums, which the NIC drops: add --skip-checksums.
Records that are malformed, truncated, of zero length, too long, out of order or cut off are counted, and
the rest is replayed. Built in: ` + strings.Join(pipeline.Shipped(), ", ") + `.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runReplay(cmd, args[0], f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.pipeline, "pipeline", "", "name of a built-in pipeline, or a YAML file")
	fl.StringVar(&f.engine, "engine", "maxplus", strings.Join(pipeline.Engines, " or ")+"; both give the same")
	fl.StringVar(&f.ports, "ports", "auto", "where frames come in: "+strings.Join(replay.PortModes, ", "))
	fl.StringVar(&f.program, "program", "passthrough", "passthrough, offload (with the --config that attach had), or none: nothing decides, every frame passes")
	fl.StringVar(&f.config, "config", "", "of program offload: the Envoy bootstrap file with which the capture was made")
	fl.StringVar(&f.fallback, "fallback", "", "of program offload: the --fallback that attach had")
	fl.BoolVar(&f.sums, "skip-checksums", false, "pass frames with wrong checksums on instead of dropping them")
	fl.BoolVar(&f.hairpin, "hairpin", false, "let frames leave by the port they came in on; always so with one port")
	fl.Float64Var(&f.speed, "speed", 1, "times as fast as recorded")
	fl.DurationVar(&f.gap, "gap", 0, "a frame every so often, instead of when it was recorded")
	fl.BoolVar(&f.b2b, "back-to-back", false, "each frame as soon as its port takes it, instead of when it was recorded")
	fl.Uint64Var(&f.skip, "skip", 0, "leave out so many records at the beginning")
	fl.Uint64Var(&f.limit, "limit", 0, "replay so many frames at most; 0: all")
	fl.StringVar(&f.vcd, "vcd", "", "write a waveform (GTKWave, Surfer)")
	fl.StringVar(&f.perfetto, "perfetto", "", "write a timeline (ui.perfetto.dev)")
	fl.StringVar(&f.pcapng, "pcapng", "", "write a capture with an interface for each stage")
	fl.StringVar(&f.waterfall, "waterfall", "", "write where the time of a frame goes: FILE.html, .svg, .json, or - for a table (in the document with -o json)")
	fl.StringVar(&f.frames, "frames", "", "write a row for each frame: FILE.csv, FILE.json, or - in the form of -o instead of the summary")
	fl.StringVarP(&f.output, "output", "o", "table", "table, json or csv")
	return cmd
}

func runReplay(cmd *cobra.Command, file string, f replayFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	d, _, err := readPipeline(f.pipeline, nil)
	if err != nil {
		return err
	}
	in, name, err := openCaptureFile(file, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := replay.Open(in, name)
	if err != nil {
		return err
	}
	o := replay.Options{
		Pipeline: d, Engine: f.engine, Ports: f.ports, Skip: f.skip, Limit: f.limit,
		NoProgram: f.program == "none", SkipChecksums: f.sums, Hairpin: f.hairpin,
		Pace: replay.Pace{Speed: f.speed, Gap: sim.Picos(f.gap.Nanoseconds()) * 1000, BackToBack: f.b2b},
	}
	if f.config != "" {
		o.Proxy = func(origin nic.Origin) (nic.Proxy, error) {
			boot, err := readBefore(f.config, origin.Before)
			if err != nil {
				return nil, err
			}
			return proxyOf(boot, f.fallback, origin)
		}
	}
	out, err := f.open(file, cmd.OutOrStdout(), &o.Traces)
	if err != nil {
		return err
	}
	r, err := replay.Run(cmd.Context(), c, o)
	if err != nil {
		out.discard()
		return err
	}
	if err := out.close(r); err != nil {
		return err
	}
	hints(cmd.ErrOrStderr(), r, f)
	if f.frames == "-" || f.waterfall == "-" && f.output == "table" {
		return nil
	}
	return printReplay(cmd.OutOrStdout(), r, f.output)
}

// check refuses flags that contradict each other.
func (f *replayFlags) check() error {
	usage := func(what, why string) error { return failure.New(failure.Usage, what, why, "meshnic replay --help") }
	switch {
	case f.pipeline == "":
		return failure.New(failure.Usage, "no pipeline", "--pipeline is missing",
			"--pipeline "+pipeline.Shipped()[0]+"; built in are "+strings.Join(pipeline.Shipped(), ", "))
	case f.pipeline == "-":
		return usage("--pipeline -", "standard input is for the capture")
	case !slices.Contains(pipeline.Engines, f.engine):
		return usage(fmt.Sprintf("engine %q", f.engine), "want "+strings.Join(pipeline.Engines, " or "))
	case !slices.Contains(replay.PortModes, f.ports):
		return usage(fmt.Sprintf("ports %q", f.ports), "want "+strings.Join(replay.PortModes, ", "))
	case f.program != "passthrough" && f.program != "none" && f.program != string(nic.Offload):
		return usage(fmt.Sprintf("program %q", f.program), "want passthrough, offload or none")
	case (f.program == string(nic.Offload)) != (f.config != ""):
		return usage("--program "+f.program+" --config "+f.config, "program offload needs the configuration of its proxy, and no other has one")
	case !slices.Contains([]string{"table", "json", "csv"}, f.output):
		return usage(fmt.Sprintf("output %q", f.output), "want table, json or csv")
	case !(f.speed > 0) || f.speed > 1e9 || f.speed < 1e-9:
		return usage(fmt.Sprintf("--speed %g", f.speed), "want more than 0, from 1e-9 to 1e9")
	case f.gap < 0 || f.gap > time.Hour:
		return usage("--gap "+f.gap.String(), "want 0 to 1h")
	case f.b2b && (f.gap > 0 || f.speed != 1), f.gap > 0 && f.speed != 1:
		return usage("--back-to-back, --gap, --speed", "each says when frames arrive: give one")
	case f.waterfall == "-" && f.output == "csv":
		return usage("--waterfall - with -o csv", "want -o table, or -o json, whose document holds it")
	case f.frames == "-" && f.waterfall == "-":
		return usage("--frames - and --waterfall -", "both would be standard output")
	}
	for _, x := range []struct {
		flag, file string
		endings    []string
	}{{"waterfall", f.waterfall, []string{".html", ".htm", ".svg", ".json"}}, {"frames", f.frames, []string{".csv", ".json", ".jsonl"}}} {
		if x.file != "" && x.file != "-" && !slices.Contains(x.endings, strings.ToLower(filepath.Ext(x.file))) {
			return usage(fmt.Sprintf("--%s %s", x.flag, x.file), "the form is told by the ending: want "+strings.Join(x.endings, ", ")+", or -")
		}
	}
	return nil
}

// openCaptureFile opens what is to be read, - for standard input.
func openCaptureFile(file string, stdin io.Reader) (io.ReadCloser, string, error) {
	if file == "-" {
		if f, ok := stdin.(*os.File); ok {
			if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
				return nil, "", failure.New(failure.Usage, "read standard input", "it is a terminal or another device, not a capture", "tcpdump -i eth0 -w - | meshnic replay - --pipeline "+pipeline.Shipped()[0])
			}
		}
		return io.NopCloser(stdin), "standard input", nil
	}
	in, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", failure.New(failure.BadFile, "read "+file, "there is no such file", "check the path")
	}
	if err != nil {
		return nil, "", failure.Wrap(failure.BadFile, err, "read "+file, "name a file that can be read")
	}
	if st, err := in.Stat(); err == nil && st.IsDir() {
		in.Close()
		return nil, "", failure.New(failure.BadFile, "read "+file, "it is a folder", "name a capture in it: a pcap or pcapng file")
	}
	return in, file, nil
}

// hints says on stderr what a reader of the figures should know.
func hints(w io.Writer, r *replay.Result, f replayFlags) {
	say := func(format string, args ...any) { fmt.Fprintf(w, "meshnic: "+format+"\n", args...) }
	for _, p := range r.Problems {
		say("record %d at byte %d: %s", p.Record, p.Byte, p.What)
	}
	_, reasons := r.Reasons()
	if n := reasons["l4_checksum"] + reasons["ip_checksum"]; n > 0 && !f.sums {
		say("%d frames were dropped for their checksums; if the capture was taken on the host that sent them: --skip-checksums", n)
	}
	if r.ProgramDrops > 0 && r.Dropped == 0 {
		say("the program would drop %d frames, but no stage of the pipeline acts on frames: they passed", r.ProgramDrops)
	}
	if r.Diverged > 0 {
		say("the proxy did not do the same again: %d frames at times of its own are missing, or too many; is --config the file with which the capture was made?", r.Diverged)
	}
	if r.Capture.Frames == 0 {
		say("the capture has no frame that can be replayed")
	}
	if !r.Finished {
		say("the card did not come to rest; %d frames are still on it", r.UnderWay)
	}
}

// replayFiles are the files that a replay writes.
type replayFiles struct {
	files []*os.File
	ends  []func(*replay.Result) error
}

// open makes the files and says what goes into them.
func (f *replayFlags) open(capture string, stdout io.Writer, t *replay.Traces) (*replayFiles, error) {
	o := &replayFiles{}
	for _, x := range []struct {
		file string
		to   *io.Writer
	}{{f.vcd, &t.VCD}, {f.perfetto, &t.Perfetto}, {f.pcapng, &t.Pcapng}} {
		if x.file == "" {
			continue
		}
		w, err := o.create(x.file, capture)
		if err != nil {
			return nil, err
		}
		*x.to = w
	}
	t.Waterfall = f.waterfall != ""
	if f.waterfall != "" && (f.waterfall != "-" || f.output != "json") {
		w := stdout
		if f.waterfall != "-" {
			file, err := o.create(f.waterfall, capture)
			if err != nil {
				return nil, err
			}
			w = file
		}
		o.ends = append(o.ends, func(r *replay.Result) error { return f.writeWaterfall(w, r) })
	}
	if f.frames != "" {
		w, form := stdout, f.output
		if f.frames != "-" {
			file, err := o.create(f.frames, capture)
			if err != nil {
				return nil, err
			}
			if w, form = file, "json"; strings.EqualFold(filepath.Ext(f.frames), ".csv") {
				form = "csv"
			}
		}
		var end func() error
		switch form {
		case "json":
			t.Frames, end = trace.FramesJSON(w)
		case "csv":
			t.Frames, end = trace.FramesCSV(w)
		default:
			t.Frames, end = framesTable(w)
		}
		o.ends = append(o.ends, func(*replay.Result) error { return end() })
	}
	return o, nil
}

// create makes a file, which must not be the capture that is read.
func (o *replayFiles) create(name, capture string) (*os.File, error) {
	if a, err := os.Stat(name); err == nil {
		if b, err := os.Stat(capture); err == nil && os.SameFile(a, b) {
			o.discard()
			return nil, failure.New(failure.Usage, "write "+name, "it is the capture that is read", "name another file")
		}
	}
	file, err := os.Create(name)
	if err != nil {
		o.discard()
		return nil, failure.Wrap(failure.Usage, err, "write "+name, "name a file in a folder that can be written to")
	}
	o.files = append(o.files, file)
	return file, nil
}

// discard closes the files of a replay that did not come to its end.
func (o *replayFiles) discard() {
	for _, f := range o.files {
		_ = f.Close()
	}
}

// close writes what is written at the end and closes the files.
func (o *replayFiles) close(r *replay.Result) error {
	var errs []error
	for _, end := range o.ends {
		errs = append(errs, end(r))
	}
	for _, f := range o.files {
		errs = append(errs, f.Close())
	}
	return failure.Wrap(failure.Unexpected, errors.Join(errs...), "write", "check the disk")
}

func (f *replayFlags) writeWaterfall(to io.Writer, r *replay.Result) error {
	w := bufio.NewWriter(to)
	var err error
	switch strings.ToLower(filepath.Ext(f.waterfall)) {
	case ".svg":
		err = r.Waterfall.SVG(w)
	case ".json":
		err = r.Waterfall.JSON(w)
	case ".html", ".htm":
		err = waterfallPage(w, r)
	default:
		err = r.Waterfall.Table(w)
	}
	return errors.Join(err, w.Flush())
}
