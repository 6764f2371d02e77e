package card

import "github.com/meshnic/meshnic/datapath/sim"

// timed is a beat that stands at the output from cycle at on.
type timed struct {
	beat sim.Beat
	at   sim.Cycle
}

// queue is a ring of beats in their order, of fixed capacity.
type queue struct {
	place   []timed
	head, n int
	bytes   int
}

func newQueue(places int) queue { return queue{place: make([]timed, places)} }

// nth is the i-th beat from the front.
func (q *queue) nth(i int) *timed {
	i += q.head
	if i >= len(q.place) {
		i -= len(q.place)
	}
	return &q.place[i]
}

func (q *queue) push(b sim.Beat, at sim.Cycle) {
	*q.nth(q.n) = timed{b, at}
	q.n++
	q.bytes += int(b.Bytes)
}

func (q *queue) pop() {
	q.bytes -= int(q.place[q.head].beat.Bytes)
	q.n--
	if q.head++; q.head == len(q.place) {
		q.head = 0
	}
}

// unpush takes the newest beats back.
func (q *queue) unpush(beats int) {
	for ; beats > 0; beats-- {
		q.n--
		q.bytes -= int(q.nth(q.n).beat.Bytes)
	}
}

// offer drives w with the front beat once its time has come.
func (q *queue) offer(w *sim.Wire) {
	front := &q.place[q.head]
	w.Put(q.n > 0 && front.at <= w.Clock.Now, front.beat)
}

// wake is when the front beat's time comes.
func (q *queue) wake(d *sim.Domain) sim.Picos {
	if q.n == 0 {
		return sim.Never
	}
	return wakeAt(d, q.place[q.head].at)
}
