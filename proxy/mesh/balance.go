package mesh

// roundRobin picks endpoints by Envoy's ROUND_ROBIN: with equal weights it
// rotates; otherwise it is an earliest-deadline-first schedule in which an
// endpoint of weight w is due at every multiple of 1/w. Deadlines are compared
// as fractions, not as floating point numbers, so in every run of as many picks
// as the weights add up to each endpoint gets exactly its weight.
type roundRobin struct {
	n    int
	next int     // equal weights: the endpoint whose turn it is
	heap []entry // unequal weights
	seq  uint64
	left uint64 // picks until all deadlines coincide and the schedule starts over
	sum  uint64
}

// entry is an endpoint in the schedule. Its deadline is turn/weight.
type entry struct {
	turn, weight, seq uint64
	index             int
}

// newRoundRobin returns the schedule of endpoints with the given weights, 0
// counting as 1. The seed says which of them is first, so that many proxies do
// not all begin with the same one.
func newRoundRobin(weights []uint32, seed uint64) *roundRobin {
	b := &roundRobin{n: len(weights)}
	equal := true
	for i, w := range weights {
		equal = equal && max(w, 1) == max(weights[0], 1)
		b.heap = append(b.heap, entry{weight: uint64(max(w, 1)), index: i})
		b.sum += uint64(max(w, 1))
	}
	if b.n == 0 {
		return b
	}
	if equal {
		b.heap = nil
		b.next = int(seed % uint64(b.n))
		return b
	}
	b.restart()
	for range seed % b.sum % 1024 {
		b.pick()
	}
	return b
}

// pick returns the index of the next endpoint, -1 if there is none.
func (b *roundRobin) pick() int {
	if b.n == 0 {
		return -1
	}
	if b.heap == nil {
		i := b.next
		if b.next++; b.next == b.n {
			b.next = 0
		}
		return i
	}
	if b.left == 0 {
		b.restart()
	}
	b.left--
	e := &b.heap[0]
	i := e.index
	e.turn++
	b.seq++
	e.seq = b.seq
	b.down(0)
	return i
}

// restart begins the schedule anew: after sum picks every turn is back at its
// weight+1, a common point, and small numbers cannot overflow a product.
func (b *roundRobin) restart() {
	b.left = b.sum
	for i := range b.heap {
		e := &b.heap[i]
		e.turn, e.seq = 1, uint64(e.index)
	}
	b.seq = uint64(b.n)
	for i := b.n/2 - 1; i >= 0; i-- {
		b.down(i)
	}
}

// before reports whether e is due before f. Of two that are due at the same
// time, the one that has waited longer goes first, as in Envoy.
func (e *entry) before(f *entry) bool {
	x, y := e.turn*f.weight, f.turn*e.weight // at most 2³² x 2³²: turns stay at or below weights + 1
	return x < y || x == y && e.seq < f.seq
}

func (b *roundRobin) down(i int) {
	for {
		c := 2*i + 1
		if c >= b.n {
			return
		}
		if c+1 < b.n && b.heap[c+1].before(&b.heap[c]) {
			c++
		}
		if !b.heap[c].before(&b.heap[i]) {
			return
		}
		b.heap[i], b.heap[c] = b.heap[c], b.heap[i]
		i = c
	}
}
