package trace

import "github.com/meshnic/meshnic/datapath/sim"

// Data gives the bytes of a frame as they are on a wire, indexed as Beat.Off
// counts: from where the frame began when it entered. nil, or a slice that ends
// early: not known. A Data that is nil knows nothing.
type Data func(w *sim.Wire, frame uint32) []byte

func (d Data) of(w *sim.Wire, frame uint32) []byte {
	if d == nil {
		return nil
	}
	return d(w, frame)
}

// topology is who is at the ends of the wires of a network.
type topology struct {
	net      *sim.Net
	producer []int // by wire: index of the stage
	consumer []int
	in, out  [][]*sim.Wire // by stage
	branches bool          // a stage has several outputs
}

func newTopology(net *sim.Net) *topology {
	t := &topology{net: net, producer: make([]int, len(net.Wires)), consumer: make([]int, len(net.Wires))}
	for i, s := range net.Stages {
		in, out := s.Ports()
		for _, w := range in {
			t.consumer[w.Index()] = i
		}
		for _, w := range out {
			t.producer[w.Index()] = i
		}
		t.in, t.out = append(t.in, in), append(t.out, out)
		t.branches = t.branches || len(out) > 1
	}
	return t
}

// enters reports whether frames enter the network on a wire.
func (t *topology) enters(wire int) bool { return len(t.in[t.producer[wire]]) == 0 }

// leaves reports whether frames leave the network on a wire.
func (t *topology) leaves(wire int) bool { return len(t.out[t.consumer[wire]]) == 0 }

// sorted is the stages that have outputs, from where frames enter onwards.
func (t *topology) sorted() []int {
	var order []int
	placed := make([]bool, len(t.in))
	for again := true; again; {
		again = false
	stages:
		for i := range t.in {
			if placed[i] || len(t.out[i]) == 0 {
				continue
			}
			for _, w := range t.in[i] {
				if !placed[t.producer[w.Index()]] {
					continue stages
				}
			}
			placed[i], again = true, true
			order = append(order, i)
		}
	}
	for i := range t.in {
		if !placed[i] && len(t.out[i]) > 0 { // in a loop
			order = append(order, i)
		}
	}
	return order
}
