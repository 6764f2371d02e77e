package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/control"
)

// startTimeout is how long a program may take until it listens. Envoy takes a
// second on an idle host; twenty of them starting together take longer.
const startTimeout = 30 * time.Second

// role says whom a process's CPU time counts for.
type role int

const (
	service role = iota
	proxy
)

// rig is a lab with the programs of one system in it.
type rig struct {
	run    *Run
	lab    *lab.Lab
	procs  [2][]*lab.Process // by role
	nic    *lab.Process      // nil without a NIC
	sock   string            // the NIC's control socket
	mode   string            // of the NIC
	does   nic.Program
	attach []string     // options of the NIC besides those that all have
	proxy  string       // file of the bootstrap of the proxy that is on it
	creds  *credentials // of sidecars in a cluster
	cores  []int        // where everything of this rig runs; nil: everywhere

	starting []func() error // wait for what was started and may not listen yet
}

// rig brings a lab up. name is short and unique in the run.
func (r *Run) rig(ctx context.Context, name string, fabric lab.Fabric, hosts []lab.Host, cores []int) (*rig, error) {
	return r.rigOf(ctx, name, lab.Spec{Fabric: fabric, Hosts: hosts}, cores)
}

// rigOf is rig for a lab that has more than hosts; its name is left out.
func (r *Run) rigOf(ctx context.Context, name string, spec lab.Spec, cores []int) (*rig, error) {
	spec.Name, spec.StaticNeighbours = fmt.Sprintf("b%d_%s", os.Getpid(), name), true
	l, err := lab.Up(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &rig{run: r, lab: l, cores: cores}, nil
}

// down takes the rig away. It returns why that failed, if it did.
func (g *rig) down() error { return g.lab.Down() }

// start starts a program. await waits until it listens on addr.
func (g *rig) start(as role, host, name, addr string, cmd lab.Cmd) error {
	cmd.Name, cmd.Cores = name, g.cores
	cmd.Stderr = g.run.logFile(g.lab.Spec().Name, host, name)
	p, err := g.lab.Start(host, cmd)
	if err != nil {
		return err
	}
	g.procs[as] = append(g.procs[as], p)
	g.starting = append(g.starting, func() error { return p.WaitListening(addr, startTimeout) })
	return nil
}

// await waits until everything that was started listens.
func (g *rig) await() error {
	for _, listens := range g.starting {
		if err := listens(); err != nil {
			return err
		}
	}
	g.starting = nil
	return nil
}

// logFile is where a program's stderr goes: a file in the run folder.
func (r *Run) logFile(lab, host, name string) string {
	dir := filepath.Join(r.Dir, "logs")
	if os.MkdirAll(dir, 0o755) != nil {
		return ""
	}
	_, short, _ := strings.Cut(lab, "_")
	return filepath.Join(dir, short+"."+host+"."+name+".log")
}

// self is a command of our own binary; config, if not nil, is its stdin as JSON.
func (g *rig) self(config any, args ...string) lab.Cmd {
	cmd := lab.Cmd{Path: g.run.Exe, Args: args}
	if config != nil {
		b, err := json.Marshal(config)
		if err != nil {
			panic(fmt.Sprintf("bench: configuration of %v: %v", args, err)) // our own types
		}
		cmd.Stdin = b
	}
	return cmd
}

// nullServer starts the small static backend in a host.
func (g *rig) nullServer(host, addr string) error {
	cfg := load.ServeConfig{Listen: netip.MustParseAddrPort(addr)}
	return g.start(service, host, "null", addr, g.self(cfg, "__load", "serve"))
}

// startNIC puts the NIC between the lab's ports and waits until it carries
// frames. more are arguments of attach.
func (g *rig) startNIC(ctx context.Context, mode string, program nic.Program, more ...string) error {
	g.mode, g.does, g.attach = mode, program, more
	g.sock = filepath.Join(g.lab.Journal().Dir(), "nic.sock")
	args := []string{"attach", "--mode", mode, "--program", string(program), "--control", g.sock, "-o", "json", "--seed", fmt.Sprint(g.run.Seed)}
	args = append(args, more...)
	if g.run.Fault != "" {
		args = append(args, "--fault", g.run.Fault)
	}
	for _, p := range g.lab.SwitchPorts() {
		args = append(args, "--port", p.Host+"="+p.IfName+"@"+p.NSPath)
	}
	cmd := g.self(nil, args...)
	cmd.Name, cmd.Cores = "nic", g.cores
	cmd.Stderr = g.run.logFile(g.lab.Spec().Name, g.lab.NICHost(), "nic")
	cmd.Stdout = g.counters()
	// The loop's thread keeps its P while it waits; the collector and the control
	// socket need another one, also on one core.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2")
	p, err := g.lab.Start(g.lab.NICHost(), cmd)
	if err != nil {
		return err
	}
	g.nic = p
	if err := g.awaitNIC(ctx); err != nil {
		return err
	}
	if g.lab.Spec().Fabric == lab.Taps {
		for _, h := range g.lab.Spec().Hosts {
			if err := g.lab.ConfigureTap(h.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// counters is the file in which the NIC leaves its counters when it ends.
func (g *rig) counters() string {
	return g.run.logFile(g.lab.Spec().Name, g.lab.NICHost(), "nic-counters")
}

func (g *rig) awaitNIC(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		_, err := control.Get(ctx, g.sock)
		if err == nil {
			return nil
		}
		select {
		case <-g.nic.Done():
			return fmt.Errorf("bench: the NIC did not start: %w", g.nic.Wait())
		case <-ctx.Done():
			return fmt.Errorf("bench: the NIC does not answer: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// work is one measurement to be made from a host of a rig.
type work struct {
	host   string
	verb   string // of the load package: run, pingpong, curl
	config any
}

// load does w and returns what the generator saw.
func (g *rig) load(ctx context.Context, w work) (*load.Result, error) {
	cmd := g.self(w.config, "__load", w.verb)
	cmd.Name, cmd.Cores = "load", g.cores
	out, err := g.lab.Run(ctx, w.host, cmd)
	if err != nil {
		return nil, err
	}
	return load.DecodeResult(bytes.NewReader(out.Stdout))
}

// measure does w and returns what it saw, the CPU time of the rig's processes
// divided over all requests, warm-up included, that they worked for.
func (g *rig) measure(ctx context.Context, w work) (sample, error) {
	card, threads, err := g.counted(ctx)
	if err != nil {
		return sample{}, err
	}
	before, err := g.cpu()
	if err != nil {
		return sample{}, err
	}
	opened := g.opened()
	res, err := g.load(ctx, w)
	if err != nil {
		return sample{}, err
	}
	openedNow := g.opened()
	now, threadsNow, err := g.counted(ctx) // before the CPU is read: the model's is the NIC's
	if err != nil {
		return sample{}, err
	}
	after, err := g.cpu()
	if err != nil {
		return sample{}, err
	}
	if g.run.Rate > 0 && res.Generator.Saturated {
		g.run.saturated[fmt.Sprintf("%d connections", res.Connections)] = res.Generator.Why
	}
	all := res.N + res.Errors.Total() + res.Warmup
	s := sample{result: res, cpu: CPU{
		Generator: res.Generator.CPU,
		Proxy:     perRequest(after.proxy-before.proxy, all),
		NIC:       perRequest(after.nic-before.nic+threadsNow-threads, all),
		Services:  perRequest(after.services-before.services, all),
	}}
	if all > 0 {
		s.opened = float64(openedNow-opened) / float64(all)
	}
	if s.model = now.since(card, all); s.model == nil && now != nil && now.Untimed > 0 {
		g.run.note(fmt.Sprintf("%s: a repeat at %d connections is without model_ns: no stretch of it was counted", g.lab.Spec().Name, res.Connections))
	}
	return s, nil
}

type cpuTimes struct{ proxy, nic, services time.Duration }

func (g *rig) cpu() (t cpuTimes, err error) {
	sum := func(procs []*lab.Process) (total time.Duration) {
		for _, p := range procs {
			d, e := p.CPU()
			if e != nil {
				err = e
			}
			total += d
		}
		return total
	}
	t.proxy, t.services = sum(g.procs[proxy]), sum(g.procs[service])
	if g.nic != nil {
		t.nic = sum([]*lab.Process{g.nic})
	}
	return t, err
}

// http is the measurement of HTTP requests from host to target.
func (g *rig) http(host, target string, connections int, window time.Duration, check load.Check, path string) work {
	return work{host, "run", load.Config{
		Target: netip.MustParseAddrPort(target), Path: path, Connections: connections,
		Rate: g.run.Rate, Warmup: window / 5, Duration: window, Check: check,
	}}
}
