package sim

import (
	"fmt"
	"slices"
)

// MaxDomains is how many clocks a network may have.
const MaxDomains = 32

// Net is a network of stages: what both engines run.
type Net struct {
	Domains []*Domain
	Wires   []*Wire
	Stages  []Stage
	names   []string
}

// Clock adds a clock domain.
func (n *Net) Clock(name string, period, phase Picos) *Domain {
	if period <= 0 || phase < 0 || len(n.Domains) == MaxDomains {
		panic(fmt.Sprintf("sim: clock %s: period %d ps, phase %d ps, %d clocks before it", name, period, phase, len(n.Domains)))
	}
	d := &Domain{Name: name, Period: period, Phase: phase, index: len(n.Domains), inverse: inverse(period)}
	n.Domains = append(n.Domains, d)
	return d
}

// Wire adds a channel of width bytes in a domain.
func (n *Net) Wire(name string, d *Domain, width int) *Wire {
	w := &Wire{Name: name, Clock: d, Width: width, index: len(n.Wires)}
	n.Wires = append(n.Wires, w)
	return w
}

// Add adds a stage, whose wires must be of this network.
func (n *Net) Add(name string, s Stage) {
	in, out := s.Ports()
	for _, w := range slices.Concat(in, out) {
		if w.index >= len(n.Wires) || n.Wires[w.index] != w {
			panic("sim: " + name + ": wire " + w.Name + " is not of this network")
		}
	}
	n.Stages = append(n.Stages, s)
	n.names = append(n.names, name)
}

// Name is the name stage i was added with.
func (n *Net) Name(i int) string { return n.names[i] }

// Index is w's place in Wires.
func (w *Wire) Index() int { return w.index }

// Check reports a wire without exactly one producer and one consumer, and a
// combinational loop.
func (n *Net) Check() error {
	_, _, err := n.order()
	return err
}

// order sorts the stages for driving: offers from producers to consumers,
// accepts from consumers to producers, as far as combinational paths ask.
func (n *Net) order() (offers, accepts []int, err error) {
	producer, consumer := make([]int, len(n.Wires)), make([]int, len(n.Wires))
	for i := range n.Wires {
		producer[i], consumer[i] = -1, -1
	}
	for i, s := range n.Stages {
		in, out := s.Ports()
		for _, w := range out {
			if producer[w.index] >= 0 {
				return nil, nil, fmt.Errorf("sim: wire %s has two producers, %s and %s", w.Name, n.names[producer[w.index]], n.names[i])
			}
			producer[w.index] = i
		}
		for _, w := range in {
			if consumer[w.index] >= 0 {
				return nil, nil, fmt.Errorf("sim: wire %s has two consumers, %s and %s", w.Name, n.names[consumer[w.index]], n.names[i])
			}
			consumer[w.index] = i
		}
	}
	for i, w := range n.Wires {
		if producer[i] < 0 {
			return nil, nil, fmt.Errorf("sim: wire %s has no producer", w.Name)
		}
		if consumer[i] < 0 {
			return nil, nil, fmt.Errorf("sim: wire %s has no consumer", w.Name)
		}
	}
	comb := func(i int) (valid, ready bool) {
		if c, ok := n.Stages[i].(Comb); ok {
			return c.Comb()
		}
		return false, false
	}
	offers, loop := topological(len(n.Stages), func(i int) (before []int) {
		if valid, _ := comb(i); valid {
			in, _ := n.Stages[i].Ports()
			for _, w := range in {
				before = append(before, producer[w.index])
			}
		}
		return before
	})
	if loop >= 0 {
		return nil, nil, fmt.Errorf("sim: a loop of combinational paths through %s: put a register or a FIFO into it", n.names[loop])
	}
	accepts, loop = topological(len(n.Stages), func(i int) (before []int) {
		if _, ready := comb(i); ready {
			_, out := n.Stages[i].Ports()
			for _, w := range out {
				before = append(before, consumer[w.index])
			}
		}
		return before
	})
	if loop >= 0 {
		return nil, nil, fmt.Errorf("sim: a loop of combinational paths through %s: put a register or a FIFO into it", n.names[loop])
	}
	return offers, accepts, nil
}

// topological sorts 0..n-1 so that before(i) come before i; loop is one that
// cannot be placed, or -1.
func topological(n int, before func(int) []int) (order []int, loop int) {
	state := make([]byte, n) // 1 being visited, 2 done
	loop = -1
	var visit func(int)
	visit = func(i int) {
		switch state[i] {
		case 1:
			loop = i
			return
		case 2:
			return
		}
		state[i] = 1
		for _, j := range before(i) {
			visit(j)
		}
		state[i] = 2
		order = append(order, i)
	}
	for i := range n {
		visit(i)
	}
	return order, loop
}
