package timing_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/timing"
)

// exchange is a request on connections that are there, and its answer: those of `bench hop`
// (a head of 230 bytes, an answer of 170 and 198 of body, TCP timestamps), what mesh adds,
// and the acknowledgement of the answer, which the card passes on as one of its own.
var exchange = []arrival{
	{in: 0, bytes: 296, d: timing.Decision{To: 2, Grow: 110, Work: datapath.Work{Told: true, Reads: 3, Lookups: 4, Head: 296, Written: 340}}},
	{in: 1, bytes: 434, d: timing.Decision{To: 1, Grow: 64, Work: datapath.Work{Told: true, Reads: 2, Head: 236, Written: 234}}},
	{in: 0, bytes: 66, d: timing.Decision{Drop: "offload", Own: []timing.Own{{Bytes: 66, To: 1}}, Work: datapath.Work{Told: true, Reads: 2}}},
}

// carries reports whether the card loses nothing of so many requests a second.
func carries(t testing.TB, engine string, perSecond float64) bool {
	const requests = 1500
	l := &log{}
	c, err := timing.New(load(t, "offload-100g"), timing.Options{Ports: 2, Engine: engine}, l)
	require.NoError(t, err)
	id := uint32(0)
	for i := range requests {
		for _, x := range exchange {
			id++
			c.Arrive(id, x.in, sim.Picos(float64(i)*1e12/perSecond), x.bytes, x.d)
		}
	}
	require.True(t, c.Finish(1e12))
	return len(l.crossed) == 3*requests // nothing is lost but what the program consumed
}

// A card of 512 bit at 250 MHz carries more than a million requests a second: the most of
// which it loses no frame, by bisection.
func TestAMillionRequests(t *testing.T) {
	low, high := 1e6, 64e6
	require.True(t, carries(t, "maxplus", low))
	require.False(t, carries(t, "maxplus", high))
	for high > 1.01*low {
		if mid := (low + high) / 2; carries(t, "maxplus", mid) {
			low = mid
		} else {
			high = mid
		}
	}
	require.True(t, carries(t, "tick", low))
	require.False(t, carries(t, "tick", high))
	t.Logf("%.2f M requests/s", low/1e6)
}
