package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/hostif/attach"
	"github.com/meshnic/meshnic/hostif/xdp"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/control"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

type attachFlags struct {
	ports      []string
	to         targetFlags
	netns      string
	mode       string
	threaded   string
	modelShare float64
	flows      string
	program    string
	pipeline   string
	config     string
	fallback   string
	capture    string
	fault      string
	seed       uint64
	static     []string
	control    string
	spin       bool
	poll       time.Duration
	hairpin    bool
	skipSums   bool
	duration   time.Duration
	output     string
}

func newAttach() *cobra.Command {
	var f attachFlags
	cmd := &cobra.Command{
		Use:   "attach --port NAME=IF[@NETNS] --port NAME=IF[@NETNS] ... | --container NAME | --pod NS/NAME | --pod-label KEY=VALUE",
		Short: "Put the NIC between interfaces, or in front of a container, until interrupted",
		Long: `attach puts the NIC between existing interfaces, usually the host's ends of veth pairs,
and carries their traffic until it is interrupted; then it prints its counters and restores
every setting it changed.

  meshnic attach --port a=veth0 --port b=veth1
  meshnic attach --port a=eth0@blue --port b=eth0@green --mode tap
  meshnic attach --port a=veth0 --port b=veth1 --fault loss=1%,dup=1%,reorder=1% --seed 7
  meshnic attach --port a=veth0 --port b=veth1 --pipeline mine.yaml --capture live.pcapng

In mode tap the interfaces are made, and are gone when attach ends.

Or it puts the NIC in the way of a container that runs, between its port "in" (the container)
and its port "out" (the host), and takes it out again, without a frame lost. See docs/containers.md.

  meshnic attach --container web
  meshnic attach --pod default/reviews-v2-7d5f
  meshnic attach --pod-label app=reviews         every such pod of this node, as they come and go`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			outliveReader()
			return runAttach(cmd, f)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.ports, "port", nil, "a port: NAME=INTERFACE, or NAME=INTERFACE@NETNS; two or more")
	f.to.add(cmd)
	fl.StringVar(&f.netns, "netns", "", "network namespace of the interfaces: a name under /run/netns, or a path")
	fl.StringVar(&f.mode, "mode", "auto", "auto, xdp, tap or packet; auto is xdp where this host can, else packet")
	fl.StringVar(&f.threaded, "threaded-receive", "auto", "of mode xdp: whether veth peers receive in kernel threads: auto (while frames come many at a time; on several cores, full ones), on or off")
	fl.StringVar(&f.flows, "flow-table", "auto", "of mode xdp and program passthrough: whether the kernel carries TCP between addresses that the NIC has seen, and the NIC sees copies: auto (where it can, without faults) or off")
	fl.StringVar(&f.program, "program", string(nic.Passthrough), "null (a wire), passthrough (learning switch, TCP tracker) or offload (that, and the proxy of --config)")
	fl.StringVar(&f.config, "config", "", "of program offload: an Envoy bootstrap file; the NIC answers for its listeners' addresses")
	fl.StringVar(&f.fallback, "fallback", "", "of program offload: the host sidecar that carries what the NIC does not: ADDR, or ADDR,PORT=ADDR:PORT,... for listeners that have other ports there")
	fl.StringVar(&f.pipeline, "pipeline", nic.DefaultPipeline, "the card whose cycles are counted: a built-in pipeline, a YAML file, or none (default of program offload: "+nic.OffloadPipeline+")")
	fl.Float64Var(&f.modelShare, "model-share", nic.DefaultModelShare, "of the time, at most, that counting the card's cycles takes, above 0 to 1; what is more is left out, whole stretches of traffic at a time (1, every frame, with --capture)")
	fl.StringVar(&f.capture, "capture", "", "write every frame that arrives to this pcapng file, an interface a port; meshnic replay gives it the live figures")
	fl.StringVar(&f.fault, "fault", "", "faults injected on every port: loss=1%,dup=1%,reorder=1%,corrupt=0.1%,delay=2ms")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of the faults")
	fl.StringArrayVar(&f.static, "static", nil, "an eSwitch entry that is never learned over: MAC=PORT, or MAC@VLAN=PORT")
	fl.StringVar(&f.control, "control", "", "Unix socket that answers each connection with the counters as JSON")
	fl.BoolVar(&f.spin, "spin", false, "poll instead of sleeping: takes a core")
	fl.DurationVar(&f.poll, "poll", -1, "go on looking at the rings for this long after a frame before sleeping (default 300us, 50us on one core, 0 with a flow table)")
	fl.Lookup("poll").DefValue = "0s" // the usage text says it
	fl.BoolVar(&f.hairpin, "hairpin", false, "let frames leave by the port they came in on")
	fl.BoolVar(&f.skipSums, "skip-checksums", false, "pass frames with wrong checksums on instead of dropping them")
	fl.DurationVar(&f.duration, "for", 0, "end by itself after this long")
	fl.StringVarP(&f.output, "output", "o", "table", "table or json")
	return cmd
}

func runAttach(cmd *cobra.Command, f attachFlags) error {
	if err := oneOf("output", f.output, "table", "json"); err != nil {
		return err
	}
	if err := oneOf("flow-table", f.flows, "auto", "off"); err != nil {
		return err
	}
	if err := oneOf("program", f.program, string(nic.Null), string(nic.Passthrough), string(nic.Offload)); err != nil {
		return err
	}
	if err := f.check(cmd); err != nil {
		return err
	}
	mode, err := attach.ParseMode(f.mode)
	if err != nil {
		return err
	}
	threaded, err := attach.ParseThreaded(f.threaded)
	if err != nil {
		return err
	}
	specs, err := f.specs()
	if err != nil {
		return err
	}
	cfg := nic.DefaultConfig()
	cfg.Program, cfg.Hairpin, cfg.SkipChecksums = nic.Program(f.program), f.hairpin, f.skipSums
	for _, s := range f.static {
		e, err := nic.ParseStatic(s)
		if err != nil {
			return err
		}
		cfg.Static = append(cfg.Static, e)
	}

	if len(specs) > 0 { // attach.Open says what is wrong with none
		if cfg.Program == nic.Offload && !cmd.Flags().Changed("pipeline") {
			f.pipeline = nic.OffloadPipeline
		}
		if cfg.Pipeline, err = cardPipeline(cmd, f.pipeline, len(specs)); err != nil {
			return err
		}
	}

	if cfg.ModelShare, err = f.share(cmd); err != nil {
		return err
	}

	log := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
	flows := f.flows == "auto" && cfg.Program == nic.Passthrough && f.capture == "" && threaded != xdp.ThreadedOn
	opt := attach.Options{Mode: mode, Threaded: threaded, FlowTable: flows, Fault: f.fault, Seed: f.seed, Log: log}
	j := job{f: f, cfg: cfg, specs: specs, opt: opt, stdout: cmd.OutOrStdout(), log: log}
	if f.to.any() {
		return j.containers(cmd.Context())
	}
	set, err := attach.Open(specs, opt)
	if err != nil {
		return err
	}
	return j.run(cmd.Context(), &attachment{set: set})
}

// check refuses what makes no sense together, and a configuration that would be refused
// once the interfaces' settings are changed.
func (f *attachFlags) check(cmd *cobra.Command) error {
	switch {
	case f.duration < 0:
		return failure.Usagef("attach: --for %v is negative", f.duration)
	case f.poll < 0 && cmd.Flags().Changed("poll"):
		return failure.Usagef("attach: --poll %v is negative", f.poll)
	case f.program != string(nic.Offload):
		if f.config != "" || f.fallback != "" {
			return failure.Usagef("attach: --config and --fallback are of the proxy, and program %s has none: add --program offload", f.program)
		}
		return nil
	case f.config == "":
		return failure.Usagef("attach: --program offload needs the proxy's configuration: --config FILE, an Envoy bootstrap")
	}
	if _, err := parseFallback(f.fallback); err != nil {
		return err
	}
	_, err := readBootstrap(f.config)
	return err
}

// share is the model's. A capture is there to be compared with, to the last frame.
func (f *attachFlags) share(cmd *cobra.Command) (float64, error) {
	switch {
	case !(f.modelShare > 0 && f.modelShare <= 1):
		return 0, failure.Usagef("attach: --model-share is %g, want above 0 to 1; --pipeline none counts no cycles", f.modelShare)
	case f.capture != "" && !cmd.Flags().Changed("model-share"):
		return 1, nil
	}
	return f.modelShare, nil
}

// specs are the ports that were asked for.
func (f *attachFlags) specs() (specs []attach.PortSpec, err error) {
	if f.to.any() {
		return f.to.check(f)
	}
	for _, s := range f.ports {
		p, err := attach.ParsePort(s, f.netns)
		if err != nil {
			return nil, err
		}
		specs = append(specs, p)
	}
	return specs, nil
}

// job is what an attach was asked to do.
type job struct {
	f      attachFlags
	cfg    nic.Config
	specs  []attach.PortSpec
	opt    attach.Options
	stdout io.Writer
	log    func(string, ...any)
}

// attachment is the open ports of one NIC, and what becomes of it.
type attachment struct {
	set    *attach.Set
	inline *attach.Inline // the same, in the way of a container; nil else
	name   string         // of the container
	host   netip.Addr     // its address; of a container
}

// run carries frames until ctx ends, and gives the ports back.
func (j *job) run(ctx context.Context, a *attachment) error {
	cfg := j.cfg
	var origin *nic.Origin
	if cfg.Program == nic.Offload {
		proxy, o, err := newProxy(j.f, a.set, a.host)
		if err != nil {
			return errors.Join(err, a.set.Close())
		}
		defer proxy.Close()
		cfg.Proxy, origin = proxy, &o
	}
	err := j.carry(ctx, a, cfg, origin)
	return errors.Join(err, a.set.Close())
}

// cardPipeline is the card to be modelled, checked for so many ports; nil for
// none.
func cardPipeline(cmd *cobra.Command, name string, ports int) (*pipeline.Description, error) {
	if name == "none" {
		return nil, nil
	}
	d, _, err := readPipeline(name, cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	card, err := d.Ports(ports)
	if err == nil {
		_, err = card.Build(pipeline.Setup{})
	}
	if err != nil {
		return nil, &failure.Error{Kind: failure.BadFile, What: "pipeline " + name, Err: err,
			Next: "--pipeline " + nic.DefaultPipeline + ", or none to count no cycles"}
	}
	return d, nil
}

// carry builds the NIC on the open links and runs it until ctx ends. That the
// control socket is there means that the ports are open.
func (j *job) carry(ctx context.Context, a *attachment, cfg nic.Config, origin *nic.Origin) (failed error) {
	f, set, specs := j.f, a.set, j.specs
	cfg.FlowTable = set.FlowTable
	var ports []nic.Port
	for i, l := range set.Links {
		ports = append(ports, nic.Port{Name: specs[i].Name, Link: l})
	}
	if f.capture != "" {
		c, err := openCapture(f.capture, specs, origin, j.log)
		if err != nil {
			return err
		}
		cfg.Capture = c
		defer func() { failed = errors.Join(failed, c.close()) }()
	}
	n, err := nic.New(cfg, ports)
	if err != nil {
		return err
	}
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	lives := ctx
	if a.inline != nil { // it carries on for a while after the end
		lives = context.WithoutCancel(ctx)
	}
	inner, stop := context.WithCancel(lives)
	defer stop()
	served := make(chan error, 1)
	if f.control != "" {
		ctl, err := control.Listen(f.control)
		if err != nil {
			return err
		}
		go func() {
			err := control.Serve(inner, ctl, n)
			stop() // a control socket that cannot be served ends the NIC
			served <- err
		}()
	} else {
		served <- nil
	}
	var admin *offload.Admin
	if proxy, ok := cfg.Proxy.(*offload.Offload); ok {
		var end func()
		if admin, end, err = administer(inner, n, proxy, f.config, func() (mesh.Config, error) { return f.bootstrap(a.host) }, j.log); err != nil {
			return err
		}
		defer end()
	}
	opt := nic.RunOptions{Spin: f.spin, Poll: f.poll}
	if opt.Poll < 0 {
		opt.Poll = nic.DefaultPoll(runtime.NumCPU(), cfg.FlowTable != nil)
	}
	if a.inline != nil {
		err = j.carryInline(ctx, inner, stop, a, n, admin, opt)
	} else {
		why := ""
		if set.Why != "" {
			why = ": " + set.Why
		}
		j.log("carrying frames between %d ports, mode %s%s; interrupt to end", len(ports), set.Mode, why)
		err = n.Run(inner, opt)
	}
	stop()
	err = errors.Join(err, <-served)
	return errors.Join(err, printSnapshot(j.stdout, n.Counters(), string(set.Mode), f.output))
}

func printSnapshot(w io.Writer, s nic.Snapshot, mode, format string) error {
	if format == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			nic.Snapshot
			Mode string `json:"mode"`
		}{s, mode})
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "mode\t%s\nprogram\t%s\n", mode, s.Program)
	if s.ModelNS != nil {
		m := s.ModelNS
		fmt.Fprintf(tw, "card\t%s\n", m.Pipeline)
		fmt.Fprintln(tw, "\nmodel_ns\tn\tp50\tp90\tp99\tmax\tsum")
		row := func(name string, n uint64, t nic.Times) {
			fmt.Fprintf(tw, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\n", name, n, t.P50, t.P90, t.P99, t.Max, t.Sum)
		}
		row("frame", m.Frames, m.Times)
		if m.Requests != nil {
			row("request", m.Requests.N, m.Requests.Times)
		}
		for _, c := range m.Crossings {
			row(c.In+" -> "+c.Out, c.Frames, c.Times)
		}
		if m.Lost > 0 {
			fmt.Fprintf(tw, "no room on the card\t%d\n", m.Lost)
		}
		if m.Untimed > 0 {
			fmt.Fprintf(tw, "not timed: beyond --model-share, or what the model can keep up with\t%d of %d\n", m.Untimed, m.Untimed+m.Timed+m.Behind)
		}
	}
	fmt.Fprintln(tw, "\nport\trx_frames\trx_bytes\ttx_frames\ttx_bytes\tlost_by_link")
	for _, name := range sortedKeys(s.Ports) {
		p := s.Ports[name]
		lost := p.TxDropFull + p.TxDropSize + p.TxDropError + p.RxDropFull + p.RxDropBad
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\n", name, p.RxFrames, p.RxBytes, p.TxFrames, p.TxBytes, lost)
	}
	fmt.Fprintln(tw, "\ncounter\tvalue")
	for _, name := range sortedKeys(s.Counters) {
		if v := s.Counters[name]; v > 0 {
			fmt.Fprintf(tw, "%s\t%d\n", name, v)
		}
	}
	return tw.Flush()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// oneOf checks a flag that takes one of a few words.
func oneOf(flag, got string, want ...string) error {
	if slices.Contains(want, got) {
		return nil
	}
	return failure.Usagef("--%s %q: want one of %v", flag, got, want)
}
