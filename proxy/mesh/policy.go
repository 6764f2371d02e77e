package mesh

import "math/rand/v2"

// Policy is how a cluster chooses among its endpoints, by Envoy's name.
type Policy string

// The policies. An empty one is RoundRobin.
const (
	RoundRobin   Policy = "ROUND_ROBIN"   // in turn, by weight
	LeastRequest Policy = "LEAST_REQUEST" // of a few drawn at random, the one with the fewest requests under way; with unequal weights, in turn by weight and those
	Random       Policy = "RANDOM"        // by chance; weights don't matter
	RingHash     Policy = "RING_HASH"     // by the request's hash, on a ring
	Maglev       Policy = "MAGLEV"        // by the request's hash, in a table
)

// Policies lists the policies, for messages.
func Policies() []string {
	return []string{string(RoundRobin), string(LeastRequest), string(Random), string(RingHash), string(Maglev)}
}

// DefaultChoices is how many endpoints LeastRequest draws where nothing is said.
const DefaultChoices = 2

// Balancer picks endpoints by a cluster's policy. It has no clock and no lock:
// each worker has its own, as in Envoy.
type Balancer struct {
	view    *View
	seed    uint64
	turn    *roundRobin   // or nil
	least   *leastRequest // or nil
	choices int           // of LeastRequest; 1: the first is taken
	chance  *rand.Rand
}

// NewBalancer returns a Balancer that picks from v to begin with. The same seed
// gives the same picks.
func NewBalancer(v *View, seed uint64) *Balancer {
	b := &Balancer{seed: seed, choices: 1, view: v}
	switch v.c.Policy {
	case LeastRequest:
		b.choices, b.least = v.c.Choices, newLeastRequest(v.hosts, seed)
	case Random, RingHash, Maglev:
	default:
		b.turn = newRoundRobin(weights(v.hosts), seed)
		return b
	}
	b.chance = rand.New(rand.NewPCG(seed, 0))
	return b
}

// Use has b pick from v from now on. It costs next to nothing where b does so
// already.
func (b *Balancer) Use(v *View) {
	if v == b.view {
		return
	}
	b.view = v
	if v.c.Policy == LeastRequest {
		b.least = newLeastRequest(v.hosts, b.seed)
	}
	if b.turn == nil {
		return
	}
	next := b.turn.next
	b.turn = newRoundRobin(weights(v.hosts), b.seed)
	if b.turn.n > 0 && b.turn.heap == nil {
		b.turn.next = next % b.turn.n // the turn goes on
	}
}

// Next returns the next endpoint, nil if there is none. It allocates nothing. hash
// is the request's, for RingHash and Maglev; one that has none goes by chance.
func (b *Balancer) Next(hash uint64, hashed bool) *Host { return b.next(hash, hashed, 0) }

// next is Next for a request of which again endpoints were picked and not wanted.
func (b *Balancer) next(hash uint64, hashed bool, again int) *Host {
	if len(b.view.hosts) == 0 {
		return nil
	}
	return b.view.hosts[b.pick(hash, hashed, again)]
}

// pick is next by the index in the view, which is not empty.
func (b *Balancer) pick(hash uint64, hashed bool, again int) int {
	hosts := b.view.hosts
	switch {
	case b.turn != nil:
		return b.turn.pick()
	case b.least != nil:
		return b.least.pick()
	case b.view.placed != nil:
		if !hashed {
			hash = b.chance.Uint64()
		}
		return b.view.placed.at(hash, again)
	}
	best := b.chance.IntN(len(hosts))
	if b.choices == 1 {
		return best
	}
	// Envoy draws with replacement, and of two with as many requests keeps the
	// first.
	least := hosts[best].active.Load()
	for range b.choices - 1 {
		i := b.chance.IntN(len(hosts))
		if n := hosts[i].active.Load(); n < least {
			best, least = i, n
		}
	}
	return best
}
