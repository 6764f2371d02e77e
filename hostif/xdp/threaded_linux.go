package xdp

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
)

// allTSO are the features of NETIF_F_ALL_TSO. A veth hands frames to its peer's
// NAPI only without any of them (veth_skb_is_eligible_for_gro in
// linux/drivers/net/veth.c); with one, its peer receives them in the sender's
// own time, whatever NAPI it has. Our frames are never segmented on their way:
// of our own end, the features mean nothing else.
var allTSO = []string{
	"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation",
}

// threads lets the far end of a port receive in kernel threads, and switches
// that on and off.
type threads struct {
	l       *Link
	peer    ethtool.Peer
	ours    bool // the threads are there because of us
	affined unix.CPUSet
	toggle  *ethtool.Toggle
	auto    bool
	policy  policy // of the goroutine that sends
	epoch   time.Time

	want     chan bool // to the goroutine that switches, which must not be waited for
	done     chan struct{}
	on       atomic.Bool // as it was last switched
	switches atomic.Uint64
	again    uint64 // frames that found the queue full and were sent again

	mu    sync.Mutex
	polls map[int]time.Duration // by thread: its CPU time when last looked at
	gone  time.Duration         // of threads that have ended
}

// settleThreads prepares the far end to receive in threads, as Config.Threaded
// says. What cannot be had is said, and no failure; that a change could not be
// written down is.
func (l *Link) settleThreads(p *port) error {
	cfg := &l.g.cfg
	if cfg.Threaded == ThreadedOff || p.kind != "veth" {
		return nil
	}
	without := func(err error) error {
		cfg.logf("xdp: %s: its peer receives in our time, not in a thread of its own: %v", l.iface.Name, err)
		return nil
	}
	if !p.hasPeer {
		return without(ethtool.ErrNoPeer)
	}
	self, err := p.self()
	if err != nil {
		return without(err)
	}
	tso, err := ethtool.Plan(self, false, allTSO...)
	if err != nil {
		return without(err)
	}
	if len(tso) == 0 && cfg.Threaded == ThreadedAuto {
		return without(fmt.Errorf("TSO of %s, which it is switched by, is off already", l.iface.Name))
	}
	if _, err := p.peer.NAPI(); err != nil {
		return without(err) // before anything is changed
	}
	t := &threads{l: l, peer: p.peer, auto: cfg.Threaded == ThreadedAuto, epoch: time.Now(), polls: map[int]time.Duration{}}
	if err := unix.SchedGetaffinity(os.Getpid(), &t.affined); err != nil {
		return without(err)
	}
	made := len(l.changes)
	undo := func(err error) error {
		for i := len(l.changes) - 1; i >= made; i-- {
			err = errors.Join(err, ethtool.Undo(l.changes[i]))
		}
		l.changes = l.changes[:made]
		return err
	}
	for _, f := range []string{"rx-gro", ethtool.ThreadedNAPI} {
		plan, err := ethtool.Plan(p.peer, true, f)
		for _, c := range plan {
			if err := l.record(c); err != nil {
				return undo(err)
			}
			if err = ethtool.Apply(c); err == nil {
				l.changes = append(l.changes, c)
			}
		}
		if err != nil {
			return without(undo(err))
		}
		t.ours = f == ethtool.ThreadedNAPI && len(plan) > 0
	}
	pids, err := t.refresh()
	if err != nil {
		return without(undo(err))
	}
	for _, c := range tso { // made when it is switched on, for the first time or the hundredth
		if err := l.record(c); err != nil {
			return undo(err)
		}
		l.changes = append(l.changes, c)
	}
	if t.toggle, err = ethtool.NewToggle(self, names(tso)...); err != nil {
		return without(undo(err))
	}
	when := "when many come at a time; it is switched by TSO of " + l.iface.Name
	if !t.auto {
		when = "always; TSO of " + l.iface.Name + " is off for that"
		if err := t.toggle.Set(false); err != nil {
			return without(errors.Join(undo(err), t.toggle.Close()))
		}
		t.on.Store(true)
	}
	cfg.logf("xdp: %s: GRO of its peer %s is on and its NAPI threaded while attached: a thread (%s) receives frames %s",
		l.iface.Name, p.peer.Name, strings.Trim(fmt.Sprint(pids), "[]"), when)
	t.want, t.done = make(chan bool, 1), make(chan struct{})
	go t.run()
	l.threads = t
	return nil
}

func names(changes []ethtool.Change) (list []string) {
	for _, c := range changes {
		list = append(list, c.Feature)
	}
	return list
}

// self is the port's own interface as ethtool names one.
func (p *port) self() (ethtool.Peer, error) {
	ns, err := ethtool.Identify(-1) // we are in its namespace
	return ethtool.Peer{NetNS: ns, Name: p.name, Index: p.index}, err
}

// errNoThread means that the kernel says nothing of a thread that we can see.
var errNoThread = fmt.Errorf("%w: no thread polls it that can be seen from here", hostif.ErrNotSupported)

// refresh finds the threads, which are others after the interface was down, and
// keeps them where this process may run: what is confined to a core stays so.
func (t *threads) refresh() (pids []int, err error) {
	list, err := t.peer.NAPI()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range list {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", n.PID))
		if err != nil || !strings.HasPrefix(string(comm), "napi/") { // a number of another process namespace
			continue
		}
		pids = append(pids, n.PID)
		if _, known := t.polls[n.PID]; known {
			continue
		}
		if t.ours {
			if err := unix.SchedSetaffinity(n.PID, &t.affined); err != nil {
				return nil, fmt.Errorf("keep its thread where this process runs: %w", err)
			}
		}
		t.polls[n.PID] = 0
	}
	if len(pids) == 0 {
		return nil, errNoThread
	}
	return pids, nil
}

// run switches, away from the goroutine that sends: the call waits for the
// kernel's lock on all interfaces.
func (t *threads) run() {
	defer close(t.done)
	for on := range t.want {
		if on == t.on.Load() {
			continue
		}
		var err error
		if on && !t.alive() {
			_, err = t.refresh()
		}
		if err == nil {
			err = t.toggle.Set(!on) // with TSO, without a thread
		}
		if err != nil {
			t.l.g.cfg.logf("xdp: %s: its peer receives as it did: %v", t.l.iface.Name, err)
			continue
		}
		t.on.Store(on)
		t.switches.Add(1)
	}
}

// alive reports whether a thread that we know is still there.
func (t *threads) alive() bool {
	t.cpu()
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.polls) > 0
}

// sent tells the policy of a Send, idle of a Recv that found nothing.
func (t *threads) sent(frames int) {
	if t != nil && t.auto && t.policy.sent(time.Since(t.epoch), frames) {
		t.switchTo(t.policy.on)
	}
}

func (t *threads) idle() {
	if t != nil && t.policy.on && t.policy.idle(time.Since(t.epoch)) {
		t.switchTo(false)
	}
}

// starved tells that the thread has taken no frame for roomPatience.
func (t *threads) starved() {
	if t.auto && t.policy.on && t.policy.set(time.Since(t.epoch), false) {
		t.switchTo(false)
	}
}

// switchTo leaves word for run; the latest counts.
func (t *threads) switchTo(on bool) {
	for {
		select {
		case t.want <- on:
			return
		default:
		}
		select {
		case <-t.want:
		default:
		}
	}
}

// stop ends the switching. TSO is put back with the other changes.
func (t *threads) stop() error {
	if t == nil {
		return nil
	}
	t.cpu()
	close(t.want)
	<-t.done
	t.on.Store(false)
	return t.toggle.Close()
}

// cpu returns the CPU time of the threads so far.
func (t *threads) cpu() (sum time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for pid, before := range t.polls {
		now, err := onCPU(pid)
		if err != nil || now < before {
			t.gone += before
			delete(t.polls, pid)
			continue
		}
		t.polls[pid] = now
		sum += now
	}
	return sum + t.gone
}

// onCPU reads how long a thread has run (Documentation/scheduler/sched-stats).
func onCPU(pid int) (ns time.Duration, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err == nil {
		_, err = fmt.Sscan(string(b), (*int64)(&ns))
	}
	return ns, err
}

// Count adds the counters of threaded receive: how many ports' far ends receive
// in threads now, how often that was switched, how many frames found a thread's
// queue full and were sent again, and the CPU time of the threads, ns.
func (l *Link) Count(c map[string]uint64) {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	t := l.threads
	if t == nil {
		return
	}
	on := uint64(0)
	if t.on.Load() {
		on = 1
	}
	c["xdp.threaded.on"] += on
	c["xdp.threaded.switches"] += t.switches.Load()
	c["xdp.threaded.again"] += t.again
	c["xdp.threaded.cpu_ns"] += uint64(t.cpu())
}
