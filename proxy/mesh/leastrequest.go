package mesh

// leastRequest picks endpoints of unequal weights by Envoy's LEAST_REQUEST with its
// default active_request_bias of 1: an earliest-deadline-first schedule, in which an
// endpoint of weight w that is picked while n requests are under way to it is due
// again (n+1)/w later.
type leastRequest struct {
	hosts []*Host
	heap  []due
	now   float64
	seq   uint64
}

// due is when an endpoint's turn comes.
type due struct {
	at    float64
	seq   uint64 // of two that are due at the same time the one that has waited longer goes first
	index int
}

// rebase is when the schedule's time begins anew, so that the least weight's share of
// it is not lost in a float's 53 bits.
const rebase = 1 << 20

// newLeastRequest returns the schedule of hosts, nil if their weights are equal: then
// it is draws that count. The seed says how far it is.
func newLeastRequest(hosts []*Host, seed uint64) *leastRequest {
	equal := true
	for _, h := range hosts {
		equal = equal && h.Weight == hosts[0].Weight
	}
	if equal {
		return nil
	}
	b := &leastRequest{hosts: hosts}
	for i, h := range hosts {
		b.heap = append(b.heap, due{b.wait(h), uint64(i), i})
	}
	b.seq = uint64(len(hosts))
	for i := len(hosts)/2 - 1; i >= 0; i-- {
		b.down(i)
	}
	for range seed % 1024 {
		b.pick()
	}
	return b
}

// wait is how long h waits for its next turn.
func (b *leastRequest) wait(h *Host) float64 {
	return float64(h.active.Load()+1) / float64(h.Weight)
}

// pick returns the index of the next endpoint.
func (b *leastRequest) pick() int {
	e := &b.heap[0]
	i := e.index
	if b.now = e.at; b.now > rebase {
		for j := range b.heap {
			b.heap[j].at -= b.now
		}
		b.now = 0
	}
	e.at, e.seq = b.now+b.wait(b.hosts[i]), b.seq
	b.seq++
	b.down(0)
	return i
}

func (e *due) before(f *due) bool { return e.at < f.at || e.at == f.at && e.seq < f.seq }

func (b *leastRequest) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(b.heap) {
			return
		}
		if c+1 < len(b.heap) && b.heap[c+1].before(&b.heap[c]) {
			c++
		}
		if !b.heap[c].before(&b.heap[i]) {
			return
		}
		b.heap[i], b.heap[c] = b.heap[c], b.heap[i]
		i = c
	}
}
