package splice

import (
	"fmt"
	"math/bits"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Limits of Config.Conns.
const (
	MinConns = 16
	MaxConns = 1 << 22
)

// Config is fixed when the Engine is built. Zero fields but Conns and Clock take the defaults.
type Config struct {
	Conns int       // connections there is room for, a power of two: a client's and a server's for each request under way
	Clock sim.Clock // of the cycles that the Engine is told
	Seed  uint64    // of sequence numbers, ports and the hash
	MTU   int       // bytes of the largest IP packet on every port; 1500

	MaxHead  int // bytes of a head, at most; 60 KiB, Envoy's limit
	Gather   int // bytes of what is gathered of heads and bodies, in all; 64 MiB, a thousand of the longest heads. Beyond it senders are left to send again
	HalfOpen int // handshakes of clients under way; a quarter of Conns. Beyond it they are answered with SYN cookies

	Timeouts Timeouts
}

// Timeouts are those that TCP itself has, in cycles; zero fields take the
// defaults. What HTTP waits for is the App's.
type Timeouts struct {
	Handshake sim.Cycle // of a client: 15 s, in which our SYN,ACK is sent four times
	Connect   sim.Cycle // to a server: 5 s, Envoy's connect_timeout
	SYN       sim.Cycle // until it, or what answers it, is sent again, for the first time: 1 s (RFC 6298 §2.1)
	Held      sim.Cycle // until a head of ours is sent again, for the first time: 250 ms, above Linux's delayed ACK of 40 ms and its least RTO of 200 ms
	Close     sim.Cycle // until the peer has answered our FIN: 10 s
	Idle      sim.Cycle // of a server's connection in its pool: 1 h, Envoy's idle_timeout
	TimeWait  sim.Cycle // that late segments find a connection that is over: 1 s
}

func (t Timeouts) withDefaults(c sim.Clock) Timeouts {
	for _, d := range []struct {
		at *sim.Cycle
		ms uint64
	}{{&t.Handshake, 15_000}, {&t.Connect, 5000}, {&t.SYN, 1000}, {&t.Held, 250}, {&t.Close, 10_000}, {&t.Idle, 3_600_000}, {&t.TimeWait, 1000}} {
		if *d.at == 0 {
			*d.at = sim.Cycle(d.ms * (c.Hz / 1000))
		}
	}
	return t
}

const (
	maxTries     = 7 // of a held head or a FIN: with doubling, 250 ms to 32 s
	firstPort    = 16384
	gatherWindow = 65535
	rcvScale     = 7 // shift of our windows; what Linux offers by default with 6 MiB of tcp_rmem
)

func (c Config) withDefaults() (Config, error) {
	if c.Conns < MinConns || c.Conns > MaxConns || bits.OnesCount(uint(c.Conns)) != 1 {
		return c, fmt.Errorf("splice: room for %d connections, want a power of two from %d to %d", c.Conns, MinConns, MaxConns)
	}
	if c.Clock.Hz < 1000 || c.Clock.Hz > 1e12 {
		return c, fmt.Errorf("splice: clock is %d Hz, want 1000 to 1e12", c.Clock.Hz)
	}
	for _, d := range []struct {
		at *int
		to int
	}{{&c.MTU, 1500}, {&c.MaxHead, 60 << 10}, {&c.Gather, 64 << 20}, {&c.HalfOpen, c.Conns / 4}} {
		if *d.at == 0 {
			*d.at = d.to
		}
	}
	if c.MTU < 576 || c.MTU > 65535 {
		return c, fmt.Errorf("splice: MTU is %d, want 576 to 65535", c.MTU)
	}
	c.Timeouts = c.Timeouts.withDefaults(c.Clock)
	return c, nil
}

// Counters count what the Engine does.
type Counters struct {
	Accepted, Dialed, Reused uint64 // clients' connections, connections to servers, requests on one that was there
	Exchanges, Aborted       uint64
	Cookies, CookiesBad      uint64 // SYN cookies sent; segments that are no answer to one
	TableFull                uint64 // connections there was no room for
	HeldAgain                uint64 // heads sent again, for a peer's retransmission or for want of an answer
	Forged                   uint64 // segments of our own making, heads not counted
	Beyond                   uint64 // segments dropped: a byte before them says where the body ends
	Crowded                  uint64 // segments dropped: as much is gathered as may be
	Disorder                 uint64 // segments dropped: bytes of a head are missing before them
	Refused                  uint64 // segments dropped: not of this connection, by their numbers
	Split                    uint64 // segments too long for their receiver, sent as several
	ExtraBytes               uint64 // responses with bytes behind their end
	Waited                   uint64 // requests that came before the exchange before them was over
	HeadAcked                uint64 // segments of heads acknowledged before their receiver had them
}

// Each calls f for every counter, by name.
func (c *Counters) Each(f func(name string, value uint64)) {
	for _, x := range []struct {
		name  string
		value uint64
	}{
		{"accepted", c.Accepted}, {"dialed", c.Dialed}, {"reused", c.Reused}, {"exchanges", c.Exchanges}, {"aborted", c.Aborted},
		{"cookies", c.Cookies}, {"cookies_bad", c.CookiesBad}, {"table_full", c.TableFull},
		{"held_again", c.HeldAgain}, {"forged", c.Forged}, {"beyond", c.Beyond}, {"crowded", c.Crowded}, {"disorder", c.Disorder}, {"refused", c.Refused},
		{"split", c.Split}, {"extra_bytes", c.ExtraBytes}, {"waited", c.Waited}, {"head_acked", c.HeadAcked},
	} {
		f(x.name, x.value)
	}
}
