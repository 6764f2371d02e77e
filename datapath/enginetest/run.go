package enginetest

import (
	"fmt"
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
)

// bench runs cases. It keeps the memory of its traces from case to case.
type bench struct {
	ref, got trace
	watch    []int                               // stages at which got has what a FrameObserver sees
	spoil    func(net *sim.Net)                  // if set, changes the network of the fast engine
	between  func(see sim.Observer) sim.Observer // if set, stands between the fast engine and its trace
}

// Diff runs the case under both engines, twice each, and returns the first
// difference between two runs, or "". What an engine panics with is a difference
// too, and so is a case that can't be built.
func (c *Case) Diff() string { return new(bench).diff(c) }

// A run's difference is told as "run: where: reference; run".
func (b *bench) diff(c *Case) string {
	if d := attempt("tick", func() error { return b.tick(c, &b.ref, nil) }); d != "" {
		return d
	}
	if !b.ref.rest {
		return fmt.Sprintf("tick: does not come to rest in %d ps", limit)
	}
	for _, r := range []struct {
		name string
		run  func() error
	}{
		{"tick in another order", func() error { return b.tick(c, &b.got, dice{&mix{c.Order}}.shuffle) }},
		{"maxplus", func() error { return b.maxPlus(c, nil, nil) }},
		{"maxplus, in part", func() error { return b.maxPlus(c, c.Clocked, c.Steps) }},
	} {
		if d := attempt(r.name, r.run); d != "" {
			return d
		}
		if d := b.ref.diff(&b.got); d != "" {
			return r.name + ": " + d
		}
		if d := b.watched(); d != "" {
			return r.name + ": " + d
		}
	}
	return ""
}

// attempt runs and tells of an error or a panic.
func attempt(name string, run func() error) (what string) {
	defer func() {
		if p := recover(); p != nil {
			what = fmt.Sprintf("%s: panic: %v", name, p)
		}
	}()
	if err := run(); err != nil {
		return fmt.Sprintf("%s: invalid: %v", name, err)
	}
	return ""
}

func (b *bench) tick(c *Case, t *trace, order func(n int, swap func(i, j int))) error {
	n, err := c.build(false)
	if err != nil {
		return err
	}
	t.reset(n.Net)
	e, err := sim.NewTicker(n.Net, t)
	if err != nil {
		return err
	}
	if order != nil {
		e.Shuffle(order)
	}
	t.finish(e)
	t.frames(n)
	b.watch = b.watch[:0]
	return nil
}

func (b *bench) maxPlus(c *Case, clocked []string, steps []sim.Picos) error {
	n, err := c.build(len(steps) > 0)
	if err != nil {
		return err
	}
	if b.spoil != nil {
		b.spoil(n.Net)
	}
	t := &b.got
	t.reset(n.Net)
	var see sim.Observer = t
	if b.between != nil {
		see = b.between(t)
	}
	e, err := sim.NewMaxPlusOf(n.Net, see, func(i int) bool {
		return !slices.Contains(clocked, n.Name(i)) || slices.Contains(n.plain, i)
	})
	if err != nil {
		return err
	}
	e.Watch(watcher{t})
	for _, until := range steps {
		for _, q := range n.feeds {
			q.arrive(until)
		}
		e.Advance(until)
	}
	for _, q := range n.feeds {
		q.arrive(sim.Never)
	}
	t.finish(e)
	b.watch = append(b.watch[:0], n.plain...)
	for _, i := range n.calm {
		if !slices.Contains(clocked, n.Name(i)) {
			b.watch = append(b.watch, i)
		}
	}
	return nil
}

// watched is the first difference in what a FrameObserver saw, or "".
func (b *bench) watched() string {
	if len(b.watch) == 0 || !b.ref.rest {
		return ""
	}
	net := b.ref.net
	if d := dropsDiffer(net, b.ref.drops, b.got.watched); d != "" {
		return "frame observer, " + d
	}
	for _, i := range b.watch {
		for _, s := range [][2][]passed{{b.ref.entered[i], b.got.entered[i]}, {b.ref.left[i], b.got.left[i]}} {
			if !slices.Equal(s[0], s[1]) {
				return fmt.Sprintf("frame observer, %s: %v; %v", net.Name(i), s[0], s[1])
			}
		}
	}
	return ""
}

// frames fills in what a FrameObserver would have seen, from the beats.
func (t *trace) frames(n *network) {
	for _, i := range n.plain {
		_, out := n.Stages[i].Ports()
		var offered event
		for _, e := range t.wires[out[0].Index()] {
			if !e.accepted {
				offered = e
			} else if e.beat.First { // told when it is accepted
				t.entered[i] = append(t.entered[i], passed{e.beat.Frame, offered.at})
			}
		}
	}
	for _, i := range n.calm {
		in, _ := n.Stages[i].Ports()
		for _, e := range t.wires[in[0].Index()] {
			if e.accepted && e.beat.Last {
				t.left[i] = append(t.left[i], passed{e.beat.Frame, e.at})
			}
		}
	}
}

// shuffle is Fisher and Yates's.
func (d dice) shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, d.upTo(i))
	}
}
