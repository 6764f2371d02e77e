package nictest_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/nic/nictest"
)

// Everything that can be said is drawn before long.
func TestRandomDrawsEverything(t *testing.T) {
	seen := map[string]int{}
	note := func(name string, is bool) {
		if is {
			seen[name]++
		} else {
			seen[name] += 0
		}
	}
	var zero nictest.Reading
	for seed := range uint64(500) {
		c := nictest.Random(seed)
		require.Equal(t, c.String(), nictest.Random(seed).String())
		require.Equal(t, c, c.Clone())
		for _, h := range append(c.Clients, c.Servers...) {
			note("no SACK", h.NoSACK)
			note("no timestamps", h.NoTimestamps)
			note("no window scale", h.NoWindowScale)
			note("ARP", h.ARP)
			note("MTU 576", h.MTU == 576)
			note("loss", h.In.Loss > 0)
			note("duplicate", h.In.Duplicate > 0)
			note("reorder", h.In.Reorder > 0)
			note("corrupt", h.In.Corrupt > 0)
			note("stall", h.In.Stall > 0)
			note("split", h.In.Split > 0)
			note("coalesce", h.In.Coalesce > 0)
		}
		for _, k := range c.Connections {
			for e := nictest.EndAnswered; e <= nictest.EndAbort; e++ {
				note("end "+e.String(), k.End == e)
			}
			note("nothing asked", len(k.Exchanges) == 0)
			note("slow client", k.Reading != zero)
			note("slow server", k.Serving != zero)
			note("idle", k.Idle > 0)
			note("abrupt", k.Abrupt())
			note("not abrupt", !k.Abrupt())
			for i, e := range k.Exchanges {
				note("HEAD", e.Method == "HEAD")
				note("chunked request", e.Chunked)
				note("expect", e.Expect)
				note("split head", e.Pieces > 1 && e.Gap > 0)
				note("pipelined", e.Pipelined)
				note("204", e.Answer.Status == 204)
				note("304", e.Answer.Status == 304)
				note("interim", e.Answer.Interim > 0)
				note("early", e.Answer.Early && e.Body > 0)
				note("close", e.Answer.Close)
				note("close before the last", e.Answer.Close && i < len(k.Exchanges)-1)
				note("reset", e.Answer.Reset > 0)
				note("chunked", e.Answer.Framing == nictest.Chunked)
				note("until close", e.Answer.Framing == nictest.UntilClose)
			}
		}
	}
	for name, n := range seen {
		require.Greater(t, n, 5, name)
	}
}

// What a card may do to heads is undone before it is compared; nothing else is.
func TestView(t *testing.T) {
	from, to := []byte("\r\nHost: "), []byte("\r\nhost: ")
	card := func(int) (nictest.Card, error) {
		return &liar{f: func(_, port int, f []byte) []byte {
			if i := bytes.Index(payload(f), from); port == 0 && i >= 0 {
				copy(payload(f)[i:], to)
				wire.FillL4Checksum(f)
			}
			return f
		}}, nil
	}
	undo := func(head []byte) []byte { return bytes.Replace(head, to, from, 1) }
	r, err := nictest.Run(get(), nictest.Setup{Card: card})
	require.NoError(t, err)
	for _, spliced := range []bool{false, true} {
		require.Error(t, r.Check(nictest.View{Spliced: spliced}))
		require.NoError(t, r.Check(nictest.View{Spliced: spliced, Request: undo}))
		require.Error(t, r.Check(nictest.View{Spliced: spliced, Request: undo, Response: func([]byte) []byte { return nil }}))
	}

	// A request that was served twice, or by nobody, is noticed wherever it came.
	d := r.Servers[0].Served[0]
	r.Servers[0].Served = append(r.Servers[0].Served, d)
	require.ErrorContains(t, r.Check(nictest.View{Spliced: true, Request: undo}), "2 times")
	r.Servers[0].Served = nil
	require.ErrorContains(t, r.Check(nictest.View{Spliced: true, Request: undo}), "no server")
}

// Random conversations also pass the check that a splicing card is held to.
func TestSplicedCheckOfAnHonestCard(t *testing.T) {
	n := uint64(150)
	if testing.Short() {
		n = 20
	}
	for seed := range n {
		r, err := nictest.Run(nictest.Random(seed), nictest.Setup{Card: aSwitch})
		require.NoError(t, err)
		require.NoError(t, r.Check(nictest.View{Spliced: true}), "seed %d", seed)
	}
}
