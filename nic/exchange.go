package nic

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// exchange is a request and its answer on a TCP connection, as they look to
// whoever does not read them: what the client sends, what the server sends, and
// all that goes with it until the client sends again. The handshake is the
// first exchange's, the end of the connection the last one's.
type exchange struct {
	sum      sim.Picos // of the times of its frames on the card
	open     uint32    // copies of frames that have neither left nor got lost
	answered bool
	closed   bool
	unknown  bool // frames of it are missing
}

// exchanges are those that are under way. Exchange 0 is nobody's.
type exchanges struct {
	all  []exchange
	free []uint32
	flow []uint32 // by the tracker's place: the exchange that is under way
	done tally
}

func newExchanges(flows int) exchanges {
	return exchanges{all: make([]exchange, 1), flow: make([]uint32, flows), done: newTally()}
}

// frame returns the exchange that a frame on a flow is part of, with so many frames of the
// proxy's own because of it.
func (x *exchanges) frame(a *arrival, own int) uint32 {
	for int(a.flow) >= len(x.flow) {
		x.flow = append(x.flow, make([]uint32, max(len(x.flow), 1024))...)
	}
	cur := x.flow[a.flow]
	asks := a.side == 0 && (a.flags&wire.SYN != 0 || a.payload)
	if cur == 0 || asks && (a.flags&wire.SYN != 0 || x.all[cur].answered) {
		x.end(cur)
		cur = x.begin()
		x.all[cur].unknown = !asks
		x.flow[a.flow] = cur
	}
	e := &x.all[cur]
	e.answered = e.answered || a.answers
	e.open += uint32(max(1, bits.OnesCount64(uint64(a.to))) + own)
	return cur
}

func (x *exchanges) begin() (n uint32) {
	if last := len(x.free) - 1; last >= 0 {
		n, x.free = x.free[last], x.free[:last]
		x.all[n] = exchange{}
		return n
	}
	x.all = append(x.all, exchange{})
	return uint32(len(x.all) - 1)
}

// end says that no more frames will come.
func (x *exchanges) end(n uint32) {
	if n != 0 {
		x.all[n].closed = true
		x.settle(n)
	}
}

// endAll ends what is under way.
func (x *exchanges) endAll() {
	for place, n := range x.flow {
		x.flow[place] = 0
		x.end(n)
	}
}

// forget says that frames are missing from here on: what is under way ends, and
// its times with it.
func (x *exchanges) forget() {
	for place, n := range x.flow {
		if n != 0 {
			x.all[n].unknown = true
			x.flow[place] = 0
			x.end(n)
		}
	}
}

// over says that copies of a frame are not on the card any more, where they have been for d.
func (x *exchanges) over(n uint32, d sim.Picos, copies int) {
	if n != 0 {
		x.all[n].sum += d
		x.all[n].open -= uint32(copies)
		x.settle(n)
	}
}

func (x *exchanges) settle(n uint32) {
	e := &x.all[n]
	if !e.closed || e.open > 0 {
		return
	}
	if e.answered && !e.unknown {
		x.done.add(e.sum)
	}
	x.free = append(x.free, n)
}
