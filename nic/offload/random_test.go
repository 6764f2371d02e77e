package offload_test

import (
	"flag"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/nic/nictest"
)

var (
	soakFor = flag.Duration("for", 0, "how long TestSoak looks for conversations that go wrong")
	from    = flag.Uint64("from", 0, "seed of the first conversation of TestSoak; 0: by the clock")
)

// fault is what all cables of a conversation do.
type fault struct {
	name string
	make func(c *nictest.Conversation)
}

func cables(f func(c *nictest.Cable)) func(*nictest.Conversation) {
	return func(c *nictest.Conversation) {
		for _, hosts := range [][]nictest.HostConfig{c.Clients, c.Servers} {
			for i := range hosts {
				for _, k := range []*nictest.Cable{&hosts[i].In, &hosts[i].Out} {
					*k = nictest.Cable{Latency: k.Latency}
					f(k)
				}
			}
		}
	}
}

var faults = []fault{
	{"as drawn", func(*nictest.Conversation) {}},
	{"none", cables(func(*nictest.Cable) {})},
	{"loss of 1 %", cables(func(c *nictest.Cable) { c.Loss = 0.01 })},
	{"loss of 5 %", cables(func(c *nictest.Cable) { c.Loss = 0.05 })},
	{"duplication", cables(func(c *nictest.Cable) { c.Duplicate = 0.1 })},
	{"reordering", cables(func(c *nictest.Cable) { c.Reorder = 0.1 })},
	{"corruption", cables(func(c *nictest.Cable) { c.Corrupt = 0.03 })},
	{"splitting", cables(func(c *nictest.Cable) { c.Split = 0.5 })},
	{"merging", cables(func(c *nictest.Cable) { c.Coalesce = 1 })},
	{"small windows", cables(func(*nictest.Cable) {})},
	{"superframes", func(c *nictest.Conversation) {
		for _, hosts := range [][]nictest.HostConfig{c.Clients, c.Servers} {
			for i := range hosts {
				hosts[i].Out.Super = 0.8
			}
		}
	}},
	{"IPv6", overIPv6},
	{"delays", cables(func(c *nictest.Cable) { c.Stall, c.StallBy = 0.03, 2*time.Second })},
}

// overIPv6 gives all hosts IPv6 addresses.
func overIPv6(c *nictest.Conversation) {
	n := byte(0)
	for _, hosts := range [][]nictest.HostConfig{c.Clients, c.Servers} {
		for i := range hosts {
			n++
			hosts[i].IP = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 15: n}), 64)
			if hosts[i].MTU != 0 {
				hosts[i].MTU = max(hosts[i].MTU, 1280) // RFC 8200 §5
			}
		}
	}
}

func init() {
	w := &faults[9]
	cabled := w.make
	w.make = func(c *nictest.Conversation) {
		cabled(c)
		for _, hosts := range [][]nictest.HostConfig{c.Clients, c.Servers} {
			for i := range hosts {
				hosts[i].ReceiveBuffer = nictest.MinBuffer
			}
		}
	}
}

// drawnWith is conversation seed with fault f.
func drawnWith(seed uint64, f *fault) *nictest.Conversation {
	c := proxied(nictest.Random(seed), 1+int(seed%3))
	f.make(c)
	return c
}

func failed(err error) bool { return err != nil && err != errSilent }

// report tells a conversation that went wrong, after it was made small.
func report(t *testing.T, c *nictest.Conversation, err error) {
	small := nictest.Shrink(c, 400, func(c *nictest.Conversation) bool { return failed(through(c)) })
	serr := through(small)
	t.Errorf("%v\nmade small: %v\n%s\n%s", err, serr, small, transcript(small))
}

func transcript(c *nictest.Conversation) (told string) {
	var b strings.Builder
	defer func() { told = b.String() }()
	isn := map[string]wire.Seq{}
	defer func() { recover() }() // what is told so far is of interest
	runThrough(c, func(at time.Duration, cable string, frame []byte, note string) {
		fmt.Fprintf(&b, "%12s %s %s %s\n", at, cable, nictest.Describe(frame, isn), note)
	})
	return ""
}

// TestRandom holds conversations through the NIC, with every kind of fault.
func TestRandom(t *testing.T) {
	n := uint64(150)
	if testing.Short() {
		n = 20
	}
	for i := range faults {
		f := &faults[i]
		t.Run(f.name, func(t *testing.T) {
			for seed := range n {
				c := drawnWith(seed, f)
				if err := through(c); failed(err) {
					report(t, c, err)
					t.FailNow()
				}
			}
		})
	}
}

// TestRandomChains holds conversations through two listeners one behind the other, of which
// the first tries again until the second takes a request.
func TestRandomChains(t *testing.T) {
	for i := range faults {
		f := &faults[i]
		t.Run(f.name, func(t *testing.T) {
			for seed := range uint64(20) {
				c := drawnWith(seed, f)
				if err := throughBy(c, chained(c)); failed(err) {
					t.Fatalf("seed %d: %v\n%s", seed, err, c)
				}
			}
		})
	}
}

// TestSoak looks for conversations that no test has seen: see `make soak-splice`.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("runs with -for")
	}
	begin, bad, silent := time.Now(), 0, 0
	first := *from
	if first == 0 {
		first = uint64(begin.Unix()%1_000_000) * 10_000
	}
	t.Logf("seeds from %d", first)
	seed := first
	for told := begin; time.Since(begin) < *soakFor && bad < 10; seed++ {
		for i := range faults {
			c := drawnWith(seed, &faults[i])
			if err := through(c); err == errSilent {
				silent++
			} else if err != nil {
				bad++
				t.Logf("seed %d, %s", seed, faults[i].name)
				report(t, c, err)
			}
		}
		if time.Since(told) > time.Minute {
			told = time.Now()
			t.Logf("%d conversations with each of %d faults, %v", seed-first+1, len(faults), time.Since(begin).Round(time.Second))
		}
	}
	t.Logf("%d conversations with each of %d faults went wrong in %d cases; in %d a host was silent", seed-first, len(faults), bad, silent)
}
