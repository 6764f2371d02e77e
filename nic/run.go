package nic

import (
	"context"
	"errors"
	"io"
	"math/bits"
	"net"
	"runtime"
	"syscall"
	"time"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/segment"
)

// idleWait bounds a wait for frames, so that a snapshot, a due fault or the end
// of the context is never further away.
const idleWait = 20 * time.Millisecond

// RunOptions say how the loop waits.
type RunOptions struct {
	Spin bool // never sleep: poll the rings. Takes a core.
	// Poll is how long to go on looking at the rings after a frame before sleeping;
	// whoever wants the core meanwhile gets it. 0 sleeps at once.
	Poll time.Duration
}

// DefaultPoll is the Poll that suits a NIC with so many cores to run on.
//
// On the only one, which it shares with those it serves, yielding to them costs less
// than being woken by them. Measured with everything on one core, AF_XDP: TCP
// ping-pong p50 26.8 instead of 31.3 us, CPU 11.8 instead of 15.1 us a round trip.
//
// On one of several, a core that sleeps takes 12 to 19 us to be woken. Measured on
// two, Bookinfo without work of its own through the NIC's proxy at one connection:
// P90 0.95 of the time without proxies instead of 1.25, at 16 connections no more
// than before; the NIC's CPU 1.6 instead of 1.2 ms a page.
//
// Where the host carries what it knows by itself, nobody waits for the NIC, and it
// would only take the core from them.
func DefaultPoll(cores int, flowTable bool) time.Duration {
	switch {
	case flowTable:
		return 0
	case cores == 1:
		return 50 * time.Microsecond
	}
	return 300 * time.Microsecond
}

// Run carries frames until ctx ends or no port can bring any more. It locks its
// thread: one thread runs every port to completion. The links stay open.
func (n *NIC) Run(ctx context.Context, opt RunOptions) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	open := len(n.ports)
	waiter := hostif.NewWaiter(n.openLinks())
	defer func() { waiter.Close() }()
	start := time.Now()
	last := -opt.Poll // when a frame came
	defer n.settle()
	defer func() { n.collect(cycleAt(time.Since(start))) }()
	for ctx.Err() == nil {
		now := time.Since(start)
		moved, err := n.Step(cycleAt(now))
		if err != nil {
			return err
		}
		n.snap.answer(n)
		if left := len(n.ports) - n.ended; left < open {
			if open = left; open == 0 {
				return nil
			}
			waiter.Close() // a link at its end stays readable: waiting for it would be spinning
			waiter = hostif.NewWaiter(n.openLinks())
		}
		if moved > 0 {
			last = now
		}
		if n.waiting {
			continue
		}
		last = max(last, coreClock.Duration(n.seen))
		if n.model != nil && n.model.due(now, now-last) {
			if n.model.turn(now); now-last > modelIdle {
				yield() // somebody else may want the core more
			}
			continue
		}
		switch {
		case moved > 1 || opt.Spin:
			continue
		case moved > 0 && opt.Poll > 0: // on one core, whom the frame woke had its turn within our sendto, and may have answered
			continue
		case now-last < opt.Poll:
			yield()
			continue
		}
		// A lone frame is rarely followed at once by another: the wait, which
		// returns if one is there, is cheaper than looking through all rings again.
		n.housekeep(cycleAt(now))
		if _, err := waiter.Wait(n.nextWait(start.Add(now))); err != nil {
			return err
		}
	}
	return nil
}

// housekeepEvery is 1 ms in cycles: a look at 64 flows costs up to 64 cache
// misses, too much for every time that the ports run dry.
const housekeepEvery sim.Cycle = CoreHz / 1000

// housekeep forgets old flows, a few at a time, when there is nothing to carry.
func (n *NIC) housekeep(now sim.Cycle) {
	if n.tracker == nil || now-n.housekept < housekeepEvery {
		return
	}
	n.housekept = now
	n.tracker.Expire(now, batch)
}

// cycleAt converts time since the start to the core's cycles.
func cycleAt(d time.Duration) sim.Cycle {
	hi, lo := bits.Mul64(uint64(d), CoreHz)
	c, _ := bits.Div64(hi, lo, 1e9)
	return sim.Cycle(c)
}

// nextWait is idleWait, or less where a link holds frames back until a time, or
// the model has something to count when there is nothing to carry.
func (n *NIC) nextWait(now time.Time) time.Duration {
	wait := idleWait
	if n.model != nil && n.model.behind() && n.cfg.FlowTable == nil {
		wait = 2 * modelIdle // what the host carries is not seen so soon
	}
	if n.proxy != nil {
		if at, ok := n.proxy.Next(); ok {
			wait = min(wait, coreClock.Duration(at-min(at, n.cycle)))
		}
	}
	for _, p := range n.ports {
		if t, ok := p.link.(hostif.Timed); ok {
			if due, ok := t.NextDue(now); ok {
				wait = min(wait, max(due, 0))
			}
		}
	}
	return wait
}

// openLinks returns the links that may still bring frames.
func (n *NIC) openLinks() (links []hostif.Link) {
	for _, p := range n.ports {
		if !p.done {
			links = append(links, p.link)
		}
	}
	return links
}

// Step takes one batch from every port through the pipeline, sends what it
// forwarded, and returns how many frames came in. now is the cycle it happens in.
func (n *NIC) Step(now sim.Cycle) (int, error) {
	moved := 0
	n.cycle = now
	if n.proxy != nil {
		if err := n.advance(now); err != nil {
			return 0, err
		}
	}
	n.carried(now)
	for i, p := range n.ports {
		if p.done {
			continue
		}
		got, err := p.link.Recv(p.rx)
		switch {
		case errors.Is(err, io.EOF):
			p.done = true
			n.ended++
		case errors.Is(err, syscall.ENETDOWN): // it may come up again
			n.linkDown++
			if n.proxy != nil {
				n.proxy.PortDown(now, datapath.Port(i))
			}
		case err != nil:
			return moved, err
		}
		n.warm(p.rx[:got])
		for _, f := range p.rx[:got] {
			if err := n.capture(now, i, f); err != nil {
				return moved, err
			}
			n.frame(now, datapath.Port(i), f, got == 1)
		}
		moved += got
		if got > 0 {
			if err := n.flush(); err != nil {
				return moved, err
			}
		}
	}
	return moved, nil
}

// capture keeps a frame as it would have come over a line. What a proxy does
// depends on the time of day: of its frames the capture has the time since the loop began.
func (n *NIC) capture(now sim.Cycle, port int, f *hostif.Frame) (err error) {
	if n.cfg.Capture == nil {
		return nil
	}
	if n.captured == 0 && n.proxy == nil {
		n.first = now
	}
	n.captured++
	at := coreClock.Duration(now - n.first)
	if f.Offload == (hostif.Offload{}) {
		return n.cfg.Capture.Frame(at, port, f.Data)
	}
	if e := segment.Finish(f.Clone(), 0, func(seg *hostif.Frame) {
		err = errors.Join(err, n.cfg.Capture.Frame(at, port, seg.Data))
	}); e != nil { // what cannot be finished cannot be on a line either: as it is
		return n.cfg.Capture.Frame(at, port, f.Data)
	}
	return err
}

// warm brings the flows of a batch into the cache, all at once, before the first
// is needed: with a million flows each would otherwise be waited for in turn. It
// changes nothing but time.
func (n *NIC) warm(batch []*hostif.Frame) {
	if n.tracker == nil || len(batch) < 2 {
		return
	}
	if n.proxy != nil { // most of it is the proxy's
		for _, f := range batch {
			n.proxy.Hint(f.Data)
		}
		n.proxy.Warm()
		return
	}
	n.hints = n.hints[:0]
	for _, f := range batch {
		n.hints = append(n.hints, n.tracker.Hint(f.Data))
	}
	for _, h := range n.hints {
		n.tracker.Warm(h)
	}
}

// frame runs one frame through the program and queues it where it goes; alone says
// that no other had come behind it.
func (n *NIC) frame(now sim.Cycle, in datapath.Port, f *hostif.Frame, alone bool) {
	size := len(f.Data)
	o := n.Process(now, in, f.Data, f.Offload)
	if n.model != nil {
		n.model.arrive(now, in, size, f.Offload.GSOSize, n.Logic, &o)
	}
	f.Data, f.Offload = o.Data, o.Offload
	n.learn(in, f, &o, alone)
	if n.proxy != nil {
		n.send(o.Own)
	}
	n.queue(f, o.To)
}

// queue hands f to every port in to: clones to all but the last, which gets f.
func (n *NIC) queue(f *hostif.Frame, to datapath.PortSet) {
	for to != 0 {
		i := datapath.Port(bits.TrailingZeros64(uint64(to)))
		to = to.Remove(i)
		out := f
		if to != 0 {
			out = f.Clone()
		}
		p := n.ports[i]
		if out.Offload != (hostif.Offload{}) && !p.link.Offloads() {
			n.finish(p, out)
			continue
		}
		p.tx = append(p.tx, out)
	}
}

// finish does in software what the sender left to a device and p's link cannot
// pass on: checksums and segmentation.
func (n *NIC) finish(p *port, f *hostif.Frame) {
	err := segment.Finish(f, p.link.MTU(), func(seg *hostif.Frame) { p.tx = append(p.tx, seg) })
	if err != nil {
		n.counts.drops[datapath.DropOffload]++
	}
}

// flush sends what every port has queued.
func (n *NIC) flush() error {
	for _, p := range n.ports {
		if len(p.tx) == 0 {
			continue
		}
		sent, err := p.link.Send(p.tx)
		n.counts.drops[datapath.DropEgressFull] += uint64(len(p.tx) - sent)
		p.tx = p.tx[:0]
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	n.Logic.Flushed()
	return nil
}
