package corundum

import (
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// hashTap is rx_hash: it gathers addresses and ports from the beats that hold
// them, hashes both in one register, joins them in the next, and puts out in a
// third. So the result is valid 3 cycles after the beat that completes what
// there is to hash, which is not the last one.
//
// Source: rx_hash.v: hash_data_reg, hash_part_*_reg, hash_reg.
type hashTap struct {
	delay
	kind func(frame uint32) Kind
	off  int32 // in the frame, of the next beat: ptr_reg
	end  bool  // the frame's result is under way: active_reg is 0
	of   Kind
}

const hashRegisters = 3

func newHashTap(kind func(frame uint32) Kind) *hashTap {
	return &hashTap{delay: make(delay, hashRegisters), kind: kind}
}

func (h *hashTap) edge(moved bool, b sim.Beat) bool {
	if !moved {
		return h.delay.edge(sim.Beat{})
	}
	if h.off == 0 {
		h.of = h.find(b)
	}
	h.off += int32(b.Bytes)
	result := sim.Beat{}
	if !h.end && (h.off > h.of.known() || b.Last) {
		result, h.end = b, true
	}
	if b.Last {
		h.off, h.end = 0, false
	}
	h.delay.edge(result)
	return true
}

// find is what the frame that begins with b is.
func (h *hashTap) find(b sim.Beat) Kind {
	switch {
	case h.kind != nil:
		return h.kind(b.Frame)
	case b.Off > 0:
		return Other // its Ethernet header has been stripped
	}
	return Ports
}

// NewRxHash returns a receive hash on a stream.
func NewRxHash(cfg TapConfig, in, out *sim.Wire) sim.Stage {
	return newTap(cfg, newHashTap(cfg.Kind), 4, in, out)
}

var passThrough = module.Flag("PASS_THROUGH", 0, "1: the output carries on the stream; 0: the results")

// tapPorts are a tap's ports: the output is as wide as the stream or as a
// result.
func tapPorts(result int) func(module.Args) (in, out []module.Port) {
	return func(a module.Args) (in, out []module.Port) {
		n := a.Int("DATA_WIDTH") / 8
		if !a.Bool("PASS_THROUGH") {
			return []module.Port{{Width: n}}, []module.Port{{Width: result}}
		}
		return []module.Port{{Width: n}}, []module.Port{{Width: n}}
	}
}

var rxHash = module.Module{
	Name:   "rx_hash",
	Source: source + "rx_hash.v",
	Doc:    "Toeplitz hash of received frames: watches a stream, one result a frame",
	Params: []module.Param{module.Width("DATA_WIDTH"), passThrough},
	Beside: module.Beside("KEEP_WIDTH"),
	Ports:  tapPorts(4),
	Build: func(s *module.Site) {
		s.Add("", NewRxHash(TapConfig{Pass: s.Args.Bool("PASS_THROUGH")}, s.In[0], s.Out[0]))
	},
}
