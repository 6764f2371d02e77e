package xdp

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// errNoThread means that the kernel says nothing of a thread that we can see.
var errNoThread = fmt.Errorf("%w: no thread polls it that can be seen from here", hostif.ErrNotSupported)

// refresh finds the threads, which are others after the interface was down, and
// makes them run as this process may: what is confined to a core stays so.
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
			if err := likeUs(n.PID); err != nil {
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

// likeUs confines a thread to the processors of this process, and gives it the
// same weight there: beside a NIC of another nice it would starve, or starve it.
func likeUs(pid int) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(os.Getpid(), &set); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(pid, &set); err != nil {
		return err
	}
	above, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid()) // the system call's 20 - nice
	if err != nil {
		return err
	}
	return unix.Setpriority(unix.PRIO_PROCESS, pid, 20-above)
}

// alive reports whether a thread that we know is still there.
func (t *threads) alive() bool {
	t.cpu()
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.polls) > 0
}

// sent tells the policy of a Send, received of a Recv, idle of one that found nothing.
func (t *threads) sent(frames, bytes int) {
	if t == nil || !t.auto || t.policy.few(frames, bytes) {
		return
	}
	if t.policy.sent(time.Since(t.epoch), frames, bytes) {
		t.switchTo(t.policy.on)
	}
}

func (t *threads) received(frames, bytes int) {
	if t != nil {
		t.policy.received(frames, bytes)
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
