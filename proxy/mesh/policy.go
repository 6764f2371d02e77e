package mesh

import "math/rand/v2"

// Policy is how a cluster chooses among its endpoints, by Envoy's name.
type Policy string

// The policies. An empty one is RoundRobin.
const (
	RoundRobin   Policy = "ROUND_ROBIN"   // in turn, by weight
	LeastRequest Policy = "LEAST_REQUEST" // of a few drawn at random, the one with the fewest requests under way; equal weights only
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

// Active says how many requests are under way to an endpoint, from all workers.
type Active interface{ Active(endpoint int) int64 }

// Balancer picks endpoints by a cluster's policy. It has no clock and no lock:
// each worker has its own, as in Envoy.
type Balancer struct {
	view    *View
	seed    uint64
	turn    *roundRobin // or nil
	choices int         // of LeastRequest; 1: the first is taken
	chance  *rand.Rand
}

// NewBalancer returns a Balancer over the endpoints of c, all of them to begin
// with. The same seed gives the same picks.
func NewBalancer(c *CompiledCluster, seed uint64) *Balancer {
	b := &Balancer{seed: seed, choices: 1, view: c.view(func(int) bool { return true })}
	switch c.Policy {
	case LeastRequest:
		b.choices = c.Choices
	case Random, RingHash, Maglev:
	default:
		b.turn = newRoundRobin(b.view.weights, seed)
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
	if b.turn == nil {
		return
	}
	next := b.turn.next
	b.turn = newRoundRobin(v.weights, b.seed)
	if b.turn.n > 0 && b.turn.heap == nil {
		b.turn.next = next % b.turn.n // the turn goes on
	}
}

// Next returns the index of the next endpoint, -1 if there is none. It asks
// active under LeastRequest only, and allocates nothing. hash is the request's,
// for RingHash and Maglev; one that has none goes by chance.
func (b *Balancer) Next(active Active, hash uint64, hashed bool) int {
	return b.view.endpoint(b.next(active, hash, hashed, 0))
}

// next is Next for a request of which again endpoints were picked and not wanted,
// by the indices of the view.
func (b *Balancer) next(active Active, hash uint64, hashed bool, again int) int {
	n := b.view.n()
	switch {
	case b.turn != nil:
		return b.turn.pick()
	case n == 0:
		return -1
	case b.view.placed != nil:
		if !hashed {
			hash = b.chance.Uint64()
		}
		return b.view.placed.at(hash, again)
	}
	best := b.chance.IntN(n)
	if b.choices == 1 {
		return best
	}
	// Envoy draws with replacement, and of two with as many requests keeps the
	// first.
	least := active.Active(b.view.endpoint(best))
	for range b.choices - 1 {
		i := b.chance.IntN(n)
		if n := active.Active(b.view.endpoint(i)); n < least {
			best, least = i, n
		}
	}
	return best
}
