package tcp

import "github.com/meshnic/meshnic/datapath/sim"

// evictAhead is how many flows a new one chooses among when there is no room.
const evictAhead = 16

// Expire looks at the next n places of the table and forgets flows that have
// been quiet for longer than their state's timeout. It returns how many. Called
// with the table's size it looks at all.
func (t *Tracker) Expire(now sim.Cycle, n int) (expired int) {
	used := t.table.fresh
	for range min(n, used) {
		if t.sweep >= used {
			t.sweep = 0
		}
		e := &t.table.entries[t.sweep]
		if e.state != None && now-e.last > t.timeouts[e.state] && now > e.last {
			t.table.remove(uint32(t.sweep))
			expired++
		}
		t.sweep++
	}
	t.counters.Expired += uint64(expired)
	return expired
}

// evict makes room in a full table.
func (t *Tracker) evict() {
	worst, worstRank := -1, 0
	for range evictAhead {
		if t.hand >= len(t.table.entries) {
			t.hand = 0
		}
		e := &t.table.entries[t.hand]
		if rank := evictRank(e.state); worst < 0 || rank > worstRank ||
			rank == worstRank && e.last < t.table.entries[worst].last {
			worst, worstRank = t.hand, rank
		}
		t.hand++
	}
	t.table.remove(uint32(worst))
	t.counters.Evicted++
}

func evictRank(s State) int {
	switch s {
	case Closed, Reset:
		return 2
	case SynSent, SynReceived:
		return 1
	}
	return 0
}
