package axis

import (
	"math/bits"
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
)

// maxPorts is how many inputs or outputs a multiplexer or switch may have.
const maxPorts = 16

// Arbitration is how one of several requests is chosen.
type Arbitration struct {
	RoundRobin bool // else strict priority
	LSBFirst   bool // the lowest port is the most important, else the highest
}

// arbiter is a registered arbiter: what is asked for in one cycle is granted in
// the next.
//
// Source: verilog-axis rtl/arbiter.v and rtl/priority_encoder.v.
type arbiter struct {
	Arbitration
	ports int
	grant int    // grant_encoded, or -1 without grant_valid
	mask  uint32 // mask_reg: the ports after (LSBFirst) or before the last one granted
}

func newArbiter(ports int, a Arbitration) arbiter {
	return arbiter{Arbitration: a, ports: ports, grant: -1}
}

// next loads the registers. hold keeps the grant: an arbiter that blocks
// (ARB_BLOCK) is held until what it granted is acknowledged. It reports whether
// anything changed.
func (a *arbiter) next(request uint32, hold bool) bool {
	if hold {
		return false
	}
	old, mask := a.grant, a.mask
	a.grant = -1
	if request != 0 {
		pick := request
		if a.RoundRobin && request&a.mask != 0 {
			pick = request & a.mask
		}
		if a.LSBFirst {
			a.grant = bits.TrailingZeros32(pick)
		} else {
			a.grant = bits.Len32(pick) - 1
		}
		if a.RoundRobin {
			all := uint32(1)<<a.ports - 1
			if a.LSBFirst {
				a.mask = all << (a.grant + 1) & all
			} else {
				a.mask = all >> (a.ports - a.grant)
			}
		}
	}
	return a.grant != old || a.mask != mask
}

// arbParams are the parameters of an arbiter; arbitration reads them.
func arbParams(roundRobin float64) []module.Param {
	return []module.Param{
		module.Flag("ARB_TYPE_ROUND_ROBIN", roundRobin, "round robin by frame, else strict priority"),
		module.Flag("ARB_LSB_HIGH_PRIORITY", 1, "the lowest input is the most important"),
	}
}

func arbitration(a module.Args) Arbitration {
	return Arbitration{RoundRobin: a.Bool("ARB_TYPE_ROUND_ROBIN"), LSBFirst: a.Bool("ARB_LSB_HIGH_PRIORITY")}
}

// The parameters of a stream's sides: they widen it, and change no cycle.
var (
	keeps    = module.Beside("KEEP_ENABLE", "KEEP_WIDTH")
	twoKeeps = append(module.Beside("S_KEEP_WIDTH", "M_KEEP_WIDTH"),
		module.Always("S_KEEP_ENABLE", 1, "beats that are not full have their tkeep"),
		module.Always("M_KEEP_ENABLE", 1, "beats that are not full have their tkeep"))
	users  = module.Beside("USER_ENABLE", "USER_WIDTH")
	ids    = module.Beside("ID_ENABLE", "ID_WIDTH")
	newIDs = module.Beside("ID_ENABLE", "S_ID_WIDTH", "M_ID_WIDTH", "UPDATE_TID")
	dests  = module.Beside("DEST_ENABLE", "DEST_WIDTH")
	lasts  = []module.Param{module.Always("LAST_ENABLE", 1, "every frame has its tlast")}
	marks  = []module.Param{
		module.Always("USER_BAD_FRAME_VALUE", 1, "tuser of a bad frame"),
		module.Always("USER_BAD_FRAME_MASK", 1, "bits of tuser that mark a bad frame"),
	}
	sides = slices.Concat(ids, dests, users)
)

// ports are n equal ports.
func ports(n, bits int) []module.Port {
	p := make([]module.Port, n)
	for i := range p {
		p[i].Width = bits / 8
	}
	return p
}
