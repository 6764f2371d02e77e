package splice

import "github.com/meshnic/meshnic/datapath"

// Work is what was done for the packet that Process was given last.
func (e *Engine) Work() datapath.Work { return e.work }

// concerns says that the packet is of client flow's exchange, and that the state of the
// connection other is needed for it as well.
func (e *Engine) concerns(flow, other int32) {
	if e.work.Flow = flow; other != none {
		e.work.Reads++
	}
}

// scanned says that the packet's bytes were searched for a head, all but the last rest.
func (e *Engine) scanned(rest int) {
	s := &e.seg
	if n := len(s.payload) - rest; n > 0 {
		e.work.Head = max(e.work.Head, uint16(int(s.p.PHV.PayloadOff)+n))
	}
}
