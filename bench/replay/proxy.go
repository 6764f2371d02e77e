package replay

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/timing"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
)

// headroom is by how much a proxy may make a frame longer: a head of 60 KiB.
const headroom = 60 << 10

// proxied is a program with a proxy, which does again what it did when the capture was made:
// it has the frames at the cycles at which it had them then, whatever the pace, and its timers run
// when they made frames then.
type proxied struct {
	begin int64 // ns since 1970, of cycle 0
	port  int   // of the card, and interface of the capture: frames that the proxy made at times of its own
	own   []timing.Own
	at    sim.Cycle   // the timers have run up to here
	ran   bool        // they have
	due   []nic.Frame // that it has made at this time, and the capture has not had yet
}

// origin is where the capture's proxy began.
func (r *replay) origin() (nic.Origin, error) {
	o, err := nic.ParseOrigin(r.c.Comment)
	if err != nil {
		return o, err
	}
	if n := len(r.ports.names); n != o.Ports {
		return o, failure.New(failure.Usage, "replay "+r.c.name, fmt.Sprintf("its proxy had %d ports, the frames come in at %d", o.Ports, n), "--ports interface")
	}
	r.proxy = &proxied{begin: o.Start.UnixNano(), port: o.Ports}
	return o, nil
}

// place turns a record's interface into its port; false if there is none.
func (r *replay) place(rec *Record) bool {
	return r.proxy != nil && rec.Port == r.proxy.port || r.ports.place(rec)
}

// cycle is when the program has the frame.
func (r *replay) cycle(rec *Record, at sim.Picos) sim.Cycle {
	if r.proxy == nil {
		return sim.Cycle(at / corePeriod)
	}
	return sim.Cycle(max(0, rec.At-r.proxy.begin) * 1000 / int64(corePeriod))
}

// tick has the timers run. What they make and the capture does not have, or the other way
// round, has diverged.
func (r *replay) tick(now sim.Cycle) {
	if now == r.proxy.at && r.proxy.ran {
		return
	}
	r.proxy.at, r.proxy.ran = now, true
	if own := r.logic.Advance(now); len(own) > 0 {
		r.res.Diverged += uint64(len(r.proxy.due))
		r.proxy.due = append(r.proxy.due[:0], own...)
	}
}

// made is the decision about a frame that the proxy made at this time.
func (r *replay) made(rec *Record, at sim.Picos) (d timing.Decision, ok bool) {
	p := r.proxy
	r.tick(r.cycle(rec, at))
	if len(p.due) == 0 || len(p.due[0].Data) != rec.Length {
		r.res.Diverged++
		return d, false
	}
	d = timing.Decision{To: datapath.PortSet(0).Add(p.due[0].Port), Work: datapath.Work{Told: true, Flow: -1}}
	if p.due = p.due[1:]; len(p.due) == 0 {
		r.logic.Flushed()
	}
	_, ok = r.card.OwnPort()
	return d, ok
}

// ask has the program decide about a frame that came in.
func (r *replay) ask(rec *Record, at sim.Picos, data []byte) (d timing.Decision, o nic.Outcome) {
	p, now := r.proxy, r.cycle(rec, at)
	r.tick(now)
	r.res.Diverged += uint64(len(p.due))
	p.due = p.due[:0]
	r.logic.Flushed()
	r.buf = append(append(r.buf[:0], data...), make([]byte, headroom)...)
	o = r.logic.Process(now, datapath.Port(rec.Port), r.buf[:len(data)], offloaded(rec))
	d = o.Decision(len(data), p.own[:0])
	p.own = d.Own
	r.logic.Flushed()
	return d, o
}
