package main

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/hostif/attach"
	"github.com/meshnic/meshnic/hostif/container"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/offload"
)

// targetFlags say which containers a NIC is put in front of.
type targetFlags struct {
	container string
	pod       string
	label     string
	namespace string
	iface     string
	runtime   string
	drain     time.Duration
	selector  container.Selector
}

func (t *targetFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&t.container, "container", "", "put the NIC in the way of this running container: its name or ID")
	fl.StringVar(&t.pod, "pod", "", "put the NIC in the way of this pod of this node: NAMESPACE/NAME")
	fl.StringVar(&t.label, "pod-label", "", "put a NIC each in the way of all pods of this node with these labels, as they come and go: KEY=VALUE,...")
	fl.StringVar(&t.namespace, "pod-namespace", "", "of --pod-label: only pods of this namespace")
	fl.StringVar(&t.iface, "interface", "", "the container's interface, if it is on several networks")
	fl.StringVar(&t.runtime, "runtime", "", "the runtime's socket, such as unix:///run/containerd/containerd.sock (default: Docker's, Podman's, containerd's and CRI-O's, where they are)")
	fl.DurationVar(&t.drain, "drain-time", 10*time.Second, "of program offload in front of a container: how long its connections have to finish when it leaves")
}

func (t *targetFlags) any() bool { return t.container != "" || t.pod != "" || t.label != "" }

// check refuses flags that don't go together, and returns the ports' names.
func (t *targetFlags) check(f *attachFlags) ([]attach.PortSpec, error) {
	named := 0
	for _, s := range []string{t.container, t.pod, t.label} {
		if s != "" {
			named++
		}
	}
	switch {
	case named > 1:
		return nil, failure.Usagef("attach: choose one of --container, --pod and --pod-label")
	case len(f.ports) > 0 || f.netns != "":
		return nil, failure.Usagef("attach: a container has its ports already: leave out --port and --netns")
	case t.label != "" && (f.control != "" || f.capture != ""):
		return nil, failure.Usagef("attach: --control and --capture are of one NIC, and --pod-label may have many: use --pod")
	case t.namespace != "" && t.label == "":
		return nil, failure.Usagef("attach: --pod-namespace goes with --pod-label")
	case t.drain < 0:
		return nil, failure.Usagef("attach: --drain-time %v is negative", t.drain)
	}
	var err error
	if t.label != "" {
		if t.selector, err = container.ParseSelector(t.label); err != nil {
			return nil, err
		}
		t.selector.Namespace = t.namespace
	}
	if t.runtime, err = container.Socket(t.runtime); err != nil {
		return nil, err
	}
	return []attach.PortSpec{{Name: "in"}, {Name: "out"}}, nil
}

// containers puts NICs in front of what was asked for.
func (j *job) containers(ctx context.Context) error {
	t := &j.f.to
	if t.label != "" {
		return j.follow(ctx)
	}
	find, ref := container.Find, t.container
	if t.pod != "" {
		find, ref = container.Pod, t.pod
	}
	c, err := find(ctx, t.runtime, ref)
	if err != nil {
		return err
	}
	return j.inline(ctx, &c)
}

// inline puts a NIC in front of c until ctx ends, or c does.
func (j *job) inline(ctx context.Context, c *container.Container) error {
	place, err := c.Place(j.f.to.iface)
	if err != nil {
		return err
	}
	in, err := attach.OpenInline(place.Veth, j.opt)
	if err != nil {
		return err
	}
	a := &attachment{set: in.Set, inline: in, name: c.String()}
	if len(place.Addrs) > 0 {
		p, err := netip.ParsePrefix(place.Addrs[0])
		if err != nil {
			return errors.Join(err, in.Close())
		}
		a.host = p.Addr()
	}
	return j.run(ctx, a)
}

// carryInline runs n, has frames go through it, and when ctx ends takes it out of their
// way before it stops: each of the two is done while n carries what comes. n runs until
// runs ends, which stop does.
func (j *job) carryInline(ctx, runs context.Context, stop func(), a *attachment, n *nic.NIC, admin *offload.Admin, opt nic.RunOptions) error {
	ended := make(chan error, 1)
	go func() {
		// What comes from now on waits in the rings for as long as Run takes to begin. The
		// other way round the proxy would ask who has which address, and not hear the answer.
		err := a.inline.Divert()
		if err == nil {
			j.log("in front of %s; interrupt to leave", a.name)
			err = n.Run(runs, opt)
		}
		ended <- err
	}()
	gone := time.NewTicker(goneEvery)
	defer gone.Stop()
	left := false
	for !left {
		select {
		case err := <-ended: // by itself: its ports are no more
			return errors.Join(err, a.inline.Release())
		case <-gone.C:
			if a.inline.Gone() {
				j.log("%s is gone, and its interface with it", a.name)
				stop()
				return <-ended
			}
		case <-ctx.Done():
			left = true
		}
	}
	if admin != nil {
		if cut := admin.Leave(runs, j.f.to.drain); cut > 0 {
			j.log("%d connections were not done after %v, and end now", cut, j.f.to.drain)
		}
	}
	err := a.inline.Release()
	quiet(runs, n)
	stop()
	return errors.Join(err, <-ended)
}

// goneEvery is how often it is looked whether the container is still there.
const goneEvery = 500 * time.Millisecond

// quiet waits until nothing has come to n for 10 ms, at most a second: what was
// under way to it has been carried.
func quiet(ctx context.Context, n *nic.NIC) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	last, since := uint64(0), time.Now()
	for time.Since(since) < 10*time.Millisecond {
		s, err := n.Snapshot(ctx)
		if err != nil {
			return
		}
		now := uint64(0)
		for _, p := range s.Ports {
			now += p.RxFrames
		}
		if now != last {
			last, since = now, time.Now()
		}
		time.Sleep(time.Millisecond)
	}
}
