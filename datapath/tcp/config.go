package tcp

import (
	"fmt"
	"math/bits"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Limits of Config.Flows. Beyond the upper one the index would have too few
// bits left to tell flows apart without reading them.
const (
	MinFlows = 16
	MaxFlows = 1 << 24
)

// Config is fixed when the tracker is built.
type Config struct {
	Flows int       // flows there is room for, a power of two; 200 bytes each
	Clock sim.Clock // of the cycles that Process is told; for the default timeouts
	Seed  uint64    // of the hash; the same seed gives the same table

	Timeouts Timeouts // zero fields take the defaults
}

// Timeouts are how long a flow may be quiet, in cycles, before it is forgotten.
type Timeouts struct {
	HalfOpen    sim.Cycle // SYN_SENT, SYN_RECEIVED: 4 min (RFC 5382 REQ-5, transitory)
	Established sim.Cycle // 2 h 4 min (RFC 5382 REQ-5)
	Closing     sim.Cycle // FIN_WAIT to LAST_ACK: 4 min (RFC 5382 REQ-5, transitory)
	Closed      sim.Cycle // CLOSED, RESET: 10 s, for late segments to find their flow
}

func (t Timeouts) withDefaults(c sim.Clock) Timeouts {
	for _, d := range []struct {
		at      *sim.Cycle
		seconds uint64
	}{{&t.HalfOpen, 240}, {&t.Established, 7440}, {&t.Closing, 240}, {&t.Closed, 10}} {
		if *d.at == 0 {
			*d.at = sim.Cycle(d.seconds * c.Hz)
		}
	}
	return t
}

func (t Timeouts) byState() [NumStates]sim.Cycle {
	return [NumStates]sim.Cycle{
		SynSent: t.HalfOpen, SynReceived: t.HalfOpen, Established: t.Established,
		FinWait: t.Closing, CloseWait: t.Closing, LastAck: t.Closing,
		Closed: t.Closed, Reset: t.Closed,
	}
}

func (c Config) check() error {
	if c.Flows < MinFlows || c.Flows > MaxFlows || bits.OnesCount(uint(c.Flows)) != 1 {
		return fmt.Errorf("tcp: flows is %d, want a power of two from %d to %d", c.Flows, MinFlows, MaxFlows)
	}
	if c.Clock.Hz == 0 || c.Clock.Hz > 1e12 {
		return fmt.Errorf("tcp: clock is %d Hz, want 1 to 1e12", c.Clock.Hz)
	}
	return nil
}
