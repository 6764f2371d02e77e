package nictest

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/meshnic/meshnic/datapath/wire"
)

// WorldConfig is fixed when a World is built.
type WorldConfig struct {
	Seed  uint64 // of everything drawn: faults, initial sequence numbers, ports
	Card  Card
	Hosts []HostConfig // one a port, from port 0
	// Trace, if set, is told every frame that a cable delivers or loses.
	Trace func(at time.Duration, cable string, frame []byte, note string)
}

// World is hosts on the ports of a card, and the loop that moves their time. It is
// for one goroutine.
type World struct {
	agenda
	cfg     WorldConfig
	hosts   []*Host
	towards []*cable // the card, by port
	from    []*cable
	opened  uint64 // sockets so far
	touched bool   // the card got frames since it was asked what is due
	alarm   *event // when the card is to be asked next
	closed  bool
}

// NewWorld builds the hosts. Close what it returns.
func NewWorld(cfg WorldConfig) (*World, error) {
	if cfg.Card == nil {
		panic("nictest: NewWorld: nil card")
	}
	w := &World{cfg: cfg}
	for port, hc := range cfg.Hosts {
		if hc.MAC.IsZero() {
			hc.MAC = wire.MAC{0: 2, 5: byte(port + 1)}
		}
		if !hc.IP.IsValid() {
			hc.IP = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(port + 1)}), 24)
		}
		if hc.MTU == 0 {
			hc.MTU = 1500
		}
		h, err := newHost(w, port, hc)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.hosts = append(w.hosts, h)
		w.towards = append(w.towards, newCable(w, hc.Out, fmt.Sprintf("%d>", port), hc.MTU, uint64(2*port), func(f []byte) {
			w.touched = true
			cfg.Card.Frame(w.Now(), port, f, w.out)
		}))
		w.from = append(w.from, newCable(w, hc.In, fmt.Sprintf("%d<", port), hc.MTU, uint64(2*port+1), func(f []byte) {
			if hc.NoWindowScale || hc.NoTimestamps {
				f = withoutOptions(f, hc.NoWindowScale, hc.NoTimestamps)
			}
			h.watch.receives(w.Now(), f)
			h.ep.deliver(f)
			h.settle()
		}))
	}
	return w, w.introduce()
}

// introduce tells the hosts their neighbours.
func (w *World) introduce() error {
	for _, h := range w.hosts {
		for ip, mac := range h.cfg.Neighbours {
			if err := h.knows(ip, mac); err != nil {
				return errors.Join(err, w.Close())
			}
		}
		for _, o := range w.hosts {
			if h == o || h.cfg.ARP {
				continue
			}
			if err := h.knows(o.Addr, wire.MAC([]byte(o.ep.mac))); err != nil {
				return errors.Join(err, w.Close())
			}
		}
	}
	return nil
}

// Host returns the host on a port.
func (w *World) Host(port int) *Host { return w.hosts[port] }

// Faults returns what the two directions of a port's cable have done.
func (w *World) Faults(port int) (towards, from Faults) { return w.towards[port].n, w.from[port].n }

// Stalls returns whose TCP has fallen silent so far.
func (w *World) Stalls() (list []Stall) {
	for _, h := range w.hosts {
		list = append(list, h.watch.all(w.Now())...)
	}
	return list
}

// out takes a frame from the card, which keeps it.
func (w *World) out(port int, frame []byte) {
	if port < 0 || port >= len(w.from) {
		panic(fmt.Sprintf("nictest: the card sends on port %d of %d", port, len(w.from)))
	}
	w.from[port].send(append([]byte(nil), frame...))
}

// Run moves time on until done says so, nothing is left to happen, or the time
// until is reached. It reports whether done did. A nil done never does.
func (w *World) Run(until time.Duration, done func() bool) bool {
	w.touched = true // so that the card is asked before time moves
	for {
		w.rest()
		if done != nil && done() {
			return true
		}
		e := w.next(until)
		if e == nil {
			return false
		}
		e.f()
	}
}

// rest returns when nothing more happens without an event.
func (w *World) rest() {
	for busy := true; busy; {
		busy = false
		for port, h := range w.hosts {
			for _, f := range h.ep.take() {
				if h.cfg.NoWindowScale || h.cfg.NoTimestamps {
					f = withoutOptions(f, h.cfg.NoWindowScale, h.cfg.NoTimestamps)
				}
				h.watch.sends(w.Now(), f)
				w.towards[port].send(f)
				busy = true
			}
			busy = h.callback() || busy
		}
	}
	if w.touched {
		w.touched = false
		w.ask()
	}
}

// ask has the card do what is due and sets its alarm.
func (w *World) ask() {
	w.remove(w.alarm)
	w.alarm = nil
	now := w.Now()
	if next, ok := w.cfg.Card.Due(now, w.out); ok {
		// One that is due now although it was just asked would hold time up.
		w.alarm = w.add(max(next, now+1), func() { w.touched = true })
	}
}

func (w *World) trace(cable string, frame []byte, note string) {
	if w.cfg.Trace != nil {
		w.cfg.Trace(w.Now(), cable, frame, note)
	}
}

// Close ends the hosts, with RSTs that go nowhere, and waits for their
// goroutines. It fails if it was called before.
func (w *World) Close() error {
	if w.closed {
		return errors.New("nictest: World is closed already")
	}
	w.closed = true
	for _, h := range w.hosts {
		h.close()
	}
	return nil
}
