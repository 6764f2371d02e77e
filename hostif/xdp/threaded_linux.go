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
	l      *Link
	peer   ethtool.Peer
	ours   bool // the threads are there because of us
	toggle *ethtool.Toggle
	auto   bool
	policy policy // of the goroutine that sends
	epoch  time.Time

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
	mode := cfg.Threaded
	if mode == ThreadedOff || p.kind != "veth" {
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
	if len(tso) == 0 && mode == ThreadedAuto {
		return without(fmt.Errorf("TSO of %s, which it is switched by, is off already", l.iface.Name))
	}
	if _, err := p.peer.NAPI(); err != nil {
		return without(err) // before anything is changed
	}
	t := &threads{l: l, peer: p.peer, auto: mode == ThreadedAuto, epoch: time.Now(), polls: map[int]time.Duration{}}
	t.policy.several, t.policy.full = !oneCore(), (l.mtu+ethHeaderLen)/2
	made := len(l.changes)
	undo := func(err error) error {
		for i := len(l.changes) - 1; i >= made; i-- {
			err = errors.Join(err, ethtool.Undo(l.changes[i]))
		}
		l.changes = l.changes[:made]
		return err
	}
	for _, f := range []string{"rx-gro", ethtool.ThreadedNAPI} {
		n, err, unrecorded := l.turn(p.peer, true, f)
		if unrecorded != nil {
			return undo(unrecorded)
		}
		if err != nil {
			return without(undo(err))
		}
		t.ours = f == ethtool.ThreadedNAPI && n > 0
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

// oneCore reports whether this process is confined to one processor.
func oneCore() bool {
	var set unix.CPUSet
	return unix.SchedGetaffinity(os.Getpid(), &set) == nil && set.Count() == 1
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
