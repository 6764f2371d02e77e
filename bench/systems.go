package bench

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/hostif/probe"
	"github.com/meshnic/meshnic/internal/failure"
)

// names of all systems, over all experiments.
var systemNames = []string{
	"direct", "linux_bridge", "floor",
	"nic_null", "nic_passthrough", "nic_passthrough_xdp", "nic_passthrough_slowpath", "nic_passthrough_tap", "nic_passthrough_packet",
	"sidecar", "sidecar_inbound", "envoy", "envoy_inbound", "haproxy", "haproxy_tcp", "nginx",
	"without_envoy", "without_envoy_balanced",
	"k8s_without_istio", "k8s_sidecar", "k8s_with_istio", "k8s_nic_offload", "nic_offload", "nic_offload_untimed",
	"without_envoy_one_core", "envoy_one_core", "envoy_one_worker", "envoy_no_reuse",
}

// CheckSystems returns a usage failure if a name is not a system's.
func CheckSystems(names []string) error {
	for _, n := range names {
		if !slices.Contains(systemNames, n) {
			return failure.Usagef("system %q: want one of %s", n, strings.Join(systemNames, ", "))
		}
	}
	return nil
}

// noProxyStages says why a NIC's proxy has no model time, if it has none.
const noProxyStages = "the NIC was attached without a pipeline that has the proxy's stages"

// nicMode is how the NIC is attached where an experiment has only one way: AF_XDP,
// or AF_PACKET where that is not to be had.
func (r *Run) nicMode() string {
	if r.modeAbsent("xdp") == "" {
		return "xdp"
	}
	return "packet"
}

// modeAbsent says why a mode of attaching the NIC can't be had here, or nothing.
func (r *Run) modeAbsent(mode string) string {
	var err error
	switch mode {
	case "xdp":
		err = errors.New("without root: it needs CAP_BPF outside any user namespace")
		if !r.Unprivileged {
			err = probe.XDP()
		}
	case "tap":
		err = probe.TAP()
	case "packet":
		err = probe.Packet()
	}
	if err == nil {
		return ""
	}
	cause, _, _ := strings.Cut(err.Error(), "\n")
	return mode + " does not work here: " + cause
}

// rigs are the labs of an experiment. Each is made once, before the first
// measurement, and all are up together so that their cells can be interleaved.
type rigs struct {
	all   []*rig
	run   *Run
	check *checked // whose model is checked, or nil
	finer int      // of each repeat that was asked for, how many are made; 0 is 1
}

// down takes all labs away.
func (s *rigs) down() error {
	var errs []error
	for _, g := range slices.Backward(s.all) {
		errs = append(errs, g.down())
	}
	return errors.Join(errs...)
}

// await waits until everything in all labs listens: it starts side by side.
func (s *rigs) await() error {
	for _, g := range s.all {
		if err := g.await(); err != nil {
			return err
		}
	}
	return nil
}

// up makes a lab and then fills it. It keeps the lab for down, also after an error.
func (s *rigs) up(ctx context.Context, make func(context.Context) (*rig, error), fill func(*rig) error) (*rig, error) {
	g, err := make(ctx)
	if err != nil {
		return nil, err
	}
	s.all = append(s.all, g)
	return g, fill(g)
}

// finish measures the cells, takes the labs away whatever happens, and writes
// the document.
func (s *rigs) finish(ctx context.Context, file string, d Document, cells []cell) (Document, error) {
	r := s.run
	if err := s.await(); err != nil {
		return d, errors.Join(err, s.down())
	}
	systems, err := runCells(ctx, cells, r.Repeats*max(s.finer, 1), func(done, total int) { r.Progress(file, done, total) })
	d.Warnings = append(d.Warnings, s.ownLosses(ctx)...)
	if err == nil && s.check != nil {
		d.ModelCheck, err = s.check.check(ctx, file+"-nic.pcapng")
	}
	if err = errors.Join(err, s.down()); err != nil {
		return d, err
	}
	for i, x := range systems {
		systems[i].Conditions = r.conditions(d.Experiment, x.Name)
	}
	d.Systems = systems
	return r.document(file, d)
}
