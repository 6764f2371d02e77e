package nictest_test

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meshnic/meshnic/nic/nictest"
)

var (
	seed  = flag.Uint64("seed", 1, "first seed of the random conversations")
	count = flag.Int("conversations", 500, "how many random conversations")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func aSwitch(ports int) (nictest.Card, error) { return &nictest.Switch{Ports: ports}, nil }

// hold holds conversations of successive seeds through a card.
func hold(t *testing.T, s nictest.Setup) {
	t.Logf("seeds from %d; again with -seed", *seed)
	var sum nictest.Faults
	stalled := 0
	for i := range *count {
		c := nictest.Random(*seed + uint64(i))
		r, err := nictest.Run(c, s)
		require.NoError(t, err)
		if err := r.Check(s.View); err != nil {
			small := nictest.Shrink(c, 300, func(c *nictest.Conversation) bool {
				r, err := nictest.Run(c, s)
				return err == nil && r.Check(s.View) != nil
			})
			t.Fatalf("seed %d: %v\n\nthe smallest that fails:\n%s", c.Seed, err, nictest.Transcript(small, s))
		}
		sum.Add(r.Faults)
		if len(r.Stalls) > 0 {
			stalled++
			t.Logf("seed %d: %v", c.Seed, r.Stalls)
		}
	}
	t.Log(sum)
	require.LessOrEqual(t, stalled, 1+*count/500, "hosts that fall silent by themselves")
}

func TestSwitch(t *testing.T) { hold(t, nictest.Setup{Card: aSwitch}) }

func TestPassthrough(t *testing.T) { hold(t, nictest.Setup{Card: newLogicCard}) }
