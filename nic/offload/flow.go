package offload

import (
	"iter"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// maxLegs is how many listeners a request may go through in one pass: a caller's, a
// callee's, and a gateway's.
const maxLegs = 3

// leg is one listener's part in a request.
type leg struct {
	l      *listener
	route  *mesh.RouteEntry
	dest   *cluster        // where its route sends it, once that was asked
	cl     *cluster        // the same, from the router on
	ep     splice.Endpoint // that it has a request under way to; -1 if none
	entry  *mesh.Entry     // what is known of it, if that is of use
	tries  *tries          // of its part of the request
	client mesh.Client
}

// flow is what is known of a client's connection.
type flow struct {
	l             *listener
	client, local splice.Addr
	number        uint64
	spoke         bool   // it has sent something
	raw           Reason // why the host sidecar has it
	leaves        bool   // is to end because the NIC does
	ended         bool   // that is done; its client may take its time

	parser *http1.Head // of a head that is not complete, nil otherwise

	// Of the request.
	legs      [maxLegs]leg
	n         int // legs
	active    bool
	isHead    bool
	expect    bool             // wants to be told to go on
	close     bool             // the connection ends after the response
	complete  bool             // the request has no byte to come
	sent      bool             // it went to a server
	responded bool             // a response's head is out
	answered  bool             // all of it is
	interim   bool             // a response of 1xx has come
	renamed   bool             // the request asks for the endpoint of a try that has no connection yet
	faulty    splice.Direction // of a body that could not be read
	cause     *mesh.Reply      // why the response is cut short

	bodies  [2]http1.Body // by splice.Direction
	scanned [2]uint32     // bytes of those that are in chunks that were looked at, or passed over
	sizes   [2]uint64     // bytes of data in these
	heads   [2]int        // bytes of the heads, as they came and as they went

	headAt  sim.Cycle // when its head began
	doneAt  sim.Cycle // when it was complete
	touched sim.Cycle // when something was decided last
	againAt sim.Cycle // when the last leg's next try begins, 0 if none is to
	chosen  splice.Endpoint
	drained int  // of its endpoint, when it got its connection
	pending bool // has no connection yet
	inLine  bool // nor gets one now
	turn    bool // but may ask again
	held    *held
}

// flowBlock is how many flows get their memory at once.
const flowBlock = 64

// flow is that of client n, whose connection is there.
func (o *Offload) flow(n splice.Flow) *flow {
	return &o.flows[uint32(n)/flowBlock][uint32(n)%flowBlock]
}

// all are the flows that there are.
func (o *Offload) all() iter.Seq2[splice.Flow, *flow] {
	return func(yield func(splice.Flow, *flow) bool) {
		for k, b := range o.flows {
			if b == nil {
				continue
			}
			for i := range b {
				if f := &b[i]; f.l != nil && !yield(splice.Flow(k*flowBlock+i), f) {
					return
				}
			}
		}
	}
}

// last is the leg that chooses the endpoint.
func (f *flow) last() *leg { return &f.legs[f.n-1] }

// Listens reports whether a is a listener's address.
func (o *Offload) Listens(a splice.Addr) bool {
	return o.byAddr[a] != nil && (o.closeAt == 0 || o.now < o.closeAt)
}

// Shares reports whether a is the address of a host behind the NIC, which had it before.
func (o *Offload) Shares(a splice.Addr) bool { return o.byAddr[a].stands }

// Opened begins a connection.
func (o *Offload) Opened(now sim.Cycle, n splice.Flow, client, local splice.Addr) {
	o.now = now
	if at := &o.flows[n/flowBlock]; *at == nil {
		*at = new([flowBlock]flow)
	}
	f := o.flow(n)
	o.accepted++
	*f = flow{l: o.byAddr[local], client: client, local: local, number: o.accepted}
	c := f.l.c
	c.CxTotal++
	c.CxActive++
	if f.l.reason != byNothing { // who speaks first is not known
		o.engine.SetDeadline(n, max(now, 1))
		return
	}
	o.touch(n)
}

// Closed ends a connection.
func (o *Offload) Closed(now sim.Cycle, n splice.Flow) {
	o.now = now
	f := o.flow(n)
	if f.active {
		o.Aborted(now, n, splice.ClientClosed)
	}
	c := f.l.c
	c.CxActive--
	c.CxDestroy++
	if f.close {
		c.CxDestroyLocal++
	} else {
		c.CxDestroyRemote++
	}
	o.giveBack(f)
	*f = flow{} // keeps no configuration that is over
}

// giveBack takes f's parser off it.
func (o *Offload) giveBack(f *flow) {
	if f.parser != nil {
		o.heads = append(o.heads, f.parser)
		f.parser = nil
	}
}

// lend has f keep the parser of a head that is not complete.
func (o *Offload) lend(f *flow) {
	if f.parser != nil {
		return
	}
	f.parser = o.head
	o.head = o.takeHead()
}

func (o *Offload) takeHead() *http1.Head {
	if n := len(o.heads); n > 0 {
		h := o.heads[n-1]
		o.heads = o.heads[:n-1]
		return h
	}
	return new(http1.Head)
}

// Body follows a body that is in chunks.
func (o *Offload) Body(n splice.Flow, d splice.Direction, b []byte) (used int, skip uint64, done bool, err error) {
	f := o.flow(n)
	used, size, done, err := advance(&f.bodies[d], b)
	f.sizes[d] += uint64(size)
	f.scanned[d] += uint32(used)
	if err != nil {
		f.faulty = d
		return used, 0, false, err
	}
	if !done {
		skip = f.bodies[d].Ahead()
		f.bodies[d].Skip(skip)
		f.sizes[d] += skip
		f.scanned[d] += uint32(skip)
	}
	return used, skip, done, nil
}

// advance moves over b, the next bytes of body, as far as it goes; size bytes of
// that are data.
func advance(body *http1.Body, b []byte) (n, size int, done bool, err error) {
	for n < len(b) {
		m, data, err := body.Next(b[n:])
		if data {
			size += m
		}
		if n += m; err != nil || m == 0 {
			return n, size, body.Done(), err
		}
	}
	return n, size, body.Done(), nil
}

// Received says that the request has come as a whole.
func (o *Offload) Received(now sim.Cycle, n splice.Flow) {
	o.now = now
	if f := o.flow(n); f.active && !f.complete {
		o.completed(f)
		o.touch(n)
	}
}

func (o *Offload) completed(f *flow) {
	f.complete, f.doneAt = true, o.now
	o.reach(f, mesh.RequestEnds)
	if f.n > 0 && f.last().ep >= 0 {
		o.reach(f, mesh.UpstreamEnds)
	}
	for i := range f.n {
		o.limitTry(f, &f.legs[i])
	}
}

// Answered says that the response has come as a whole.
func (o *Offload) Answered(now sim.Cycle, n splice.Flow) {
	o.now = now
	if f := o.flow(n); f.active {
		f.answered, f.touched = true, o.now
		o.reach(f, mesh.ResponseEnds)
		o.reach(f, mesh.DownstreamEnds)
	}
}

// Completed ends a request whose response the client has.
func (o *Offload) Completed(now sim.Cycle, n splice.Flow) {
	o.now = now
	f := o.flow(n)
	if f.active {
		o.end(n, f)
	}
	o.touch(n)
}

// end ends the request of f.
func (o *Offload) end(n splice.Flow, f *flow) {
	o.measure(n, f)
	f.active = false
	o.release(f)
	for i := f.n - 1; i >= 0; i-- {
		o.endLeg(&f.legs[i])
	}
}

// endLeg ends a leg of a request.
func (o *Offload) endLeg(leg *leg) {
	leg.l.c.RqActive--
	o.leaveEndpoint(leg)
	leg.tries.End(leg.cl)
	o.log(leg)
	o.giveTries(leg)
}
