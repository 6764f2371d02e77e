package lab

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/internal/spawn"
)

// Lab is a network that is up.
type Lab struct {
	spec    Spec
	journal *netns.Journal
	starter *spawn.Starter
	observe func(point string) // nil but in tests

	mu    sync.Mutex
	procs []*Process
	down  bool
	pods  map[int][]string // of the services by index, where SetEndpoints was called
}

// Up makes the lab that spec describes, all of it or nothing: after an error,
// or when ctx ends meanwhile, what was made has been undone. A lab of the same
// name is a failure.Conflict.
func Up(ctx context.Context, spec Spec) (*Lab, error) { return up(ctx, spec, nil) }

// up is Up with a function called around each step.
func up(ctx context.Context, spec Spec, observe func(point string)) (*Lab, error) {
	spec, err := spec.complete()
	if err != nil {
		return nil, err
	}
	if err := netns.Probe(); err != nil {
		return nil, fmt.Errorf("lab: make lab %s: %w", spec.Name, err)
	}
	j, err := netns.Create(spec.Name, observe)
	if err != nil {
		return nil, err
	}
	l := &Lab{spec: spec, journal: j, observe: observe}
	for _, st := range spec.steps(j.Dir()) {
		if err = ctx.Err(); err == nil {
			err = j.Step(st.entry, st.do)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lab: make lab %s: %w", spec.Name, err), l.undo())
		}
	}
	l.starter = spawn.NewStarter()
	return l, nil
}

func (l *Lab) undo() error {
	err := l.journal.Close()
	_, undoErr := netns.Undo(l.spec.Name, netns.UndoOptions{Observe: l.observe})
	return errors.Join(err, undoErr)
}

// stopGrace is how long Down waits after SIGTERM for programs to end: a NIC on a busy
// machine puts back what it has changed.
const stopGrace = 10 * time.Second

// Down ends the lab's programs and removes the lab. It may be called again.
func (l *Lab) Down() error {
	if !l.end() {
		return nil
	}
	return l.undo()
}

// end ends the lab's programs and lets no others start. It reports false if
// that has been done before.
func (l *Lab) end() bool {
	l.mu.Lock()
	was := l.down
	l.down = true
	procs := l.procs
	l.mu.Unlock()
	if was {
		return false
	}
	var wg sync.WaitGroup
	for _, p := range procs {
		wg.Go(func() { p.Stop(stopGrace) })
	}
	wg.Wait()
	l.starter.Close()
	return true
}

// Leave ends the lab's programs but leaves the network standing, for programs
// that come later, until somebody takes it down by name.
func (l *Lab) Leave() error {
	if !l.end() {
		return nil
	}
	return l.journal.Close()
}

// Spec returns the lab's description, with everything chosen that was left
// open. Endpoints that were set later are not in it.
func (l *Lab) Spec() Spec { return l.spec }

// IP returns a host's address.
func (l *Lab) IP(host string) string {
	i, err := l.spec.index(host)
	if err != nil {
		return ""
	}
	return l.spec.Hosts[i].IP
}

// Journal returns the lab's journal, for what others change on the lab's
// behalf.
func (l *Lab) Journal() *netns.Journal { return l.journal }

// Namespace returns the file of a host's network namespace, or of the switch's
// (SwitchHost).
func (l *Lab) Namespace(host string) string { return netns.Path(l.spec.ns(host)) }

// Sysctl sets a sysctl of a host's network namespace: see netns.Sysctl.
func (l *Lab) Sysctl(host, key, value string) error {
	ns, err := l.known(host)
	if err != nil {
		return err
	}
	return netns.Sysctl(ns, key, value)
}

// Do calls fn inside a host's network namespace: see netns.Do.
func (l *Lab) Do(host string, fn func() error) error {
	ns, err := l.known(host)
	if err != nil {
		return err
	}
	return netns.Do(ns, fn)
}

// known is the name of a host's network namespace, if there is such a host.
func (l *Lab) known(host string) (ns string, err error) {
	if !l.spec.machine(host) {
		_, err = l.spec.index(host)
	}
	return l.spec.ns(host), err
}

// SwitchPorts returns where the NIC's ports go, in the order of the hosts: of a
// cluster that to the node and those of the pods behind it. The fabrics Direct and
// Bridge have none.
func (l *Lab) SwitchPorts() (refs []PortRef) {
	s := l.spec
	if s.Fabric == Kubernetes && s.hasNIC() {
		refs = append(refs, PortRef{Host: nodeHost, IfName: uplinkIf, NSPath: l.Namespace(NICHost),
			PeerIf: nicIf, PeerNSPath: l.Namespace(SwitchHost), PeerMAC: hardware(0x06, s.gateway(1))})
	}
	for i, h := range s.Hosts {
		r := PortRef{Host: h.Name, IfName: HostIf, NSPath: l.Namespace(h.Name), PeerIf: HostIf, PeerNSPath: l.Namespace(h.Name), PeerMAC: s.mac(i)}
		if s.Fabric == Ports || h.NIC {
			r.IfName, r.NSPath = s.port(i), l.Namespace(s.portHost(i))
		} else if s.Fabric != Taps {
			continue
		}
		refs = append(refs, r)
	}
	return refs
}

// NICHost is the machine in which the ports of SwitchPorts are.
func (l *Lab) NICHost() string {
	if l.spec.Fabric == Kubernetes {
		return NICHost
	}
	return SwitchHost
}

// ConfigureTap gives a host's interface its hardware address, MTU and address,
// and brings it up, after the NIC has made it (fabric Taps).
func (l *Lab) ConfigureTap(host string) error {
	i, err := l.spec.index(host)
	if err != nil {
		return err
	}
	if l.spec.Fabric != Taps {
		return failure.New(failure.Usage, "configure "+HostIf+" of "+host, "the lab's fabric is "+string(l.spec.Fabric)+", not taps", "")
	}
	ns := l.spec.ns(host)
	b := &builder{Spec: l.spec}
	b.inner(ns, fmt.Sprintf("ip -n %s link set %s address %s mtu %d", ns, HostIf, l.spec.mac(i), l.spec.MTU), func() error {
		return errors.Join(netns.SetMAC(ns, HostIf, l.spec.mac(i)), netns.SetMTU(ns, HostIf, l.spec.MTU))
	})
	b.address(i)
	for _, st := range b.steps {
		if err := l.journal.Step(st.entry, st.do); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	return nil
}

func (l *Lab) hostsPath(host string) string { return filepath.Join(l.journal.Dir(), hostsPrefix+host) }
