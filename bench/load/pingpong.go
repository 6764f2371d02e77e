package load

import (
	"net/netip"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// PingPongConfig describes a TCP ping-pong: Size bytes there, the same number
// back, one round at a time on one connection.
type PingPongConfig struct {
	Target   netip.AddrPort `json:"target"`
	Size     int            `json:"size,omitempty"`   // bytes; default 1, at most 65536
	Warmup   int            `json:"warmup,omitempty"` // rounds not counted
	Rounds   int            `json:"rounds,omitempty"` // 0: until Duration
	Duration time.Duration  `json:"duration_ns,omitempty"`
	Timeout  time.Duration  `json:"timeout_ns,omitempty"` // of a round and of the connect; default 10 s
	Placement
}

func (c PingPongConfig) withDefaults() (PingPongConfig, error) {
	if c.Size == 0 {
		c.Size = 1
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	switch {
	case !c.Target.IsValid() || c.Target.Port() == 0:
		return c, failure.Usagef("load: target %q is not an address and a port", c.Target)
	case c.Size < 1 || c.Size > 64<<10:
		return c, failure.Usagef("load: size is %d, want 1 to 65536 bytes", c.Size)
	case c.Warmup < 0 || c.Rounds < 0 || c.Duration < 0 || (c.Rounds == 0 && c.Duration == 0):
		return c, failure.Usagef("load: neither rounds nor duration is set, or one is negative")
	case c.Timeout < time.Millisecond || c.Timeout > maxTimeout:
		return c, failure.Usagef("load: timeout is %v, want 1 ms to %v", c.Timeout, maxTimeout)
	}
	return c, nil
}

// EchoConfig describes the other end of a ping-pong.
type EchoConfig struct {
	Listen netip.AddrPort `json:"listen"` // port 0: any free one
	Placement

	// Ready is called once, with the address, when connections are accepted.
	Ready func(netip.AddrPort) `json:"-"`
}
