package sim

// hold takes the native form from the stages behind one whose outputs wait for
// nobody, also where the way to them leads through wire: a channel holds what
// stands on it, so such a wire must not be one.
func (n *Net) hold(forms []Flow, ends []ends) {
	seen := make([]bool, len(n.Wires))
	var lose func(out []*Wire)
	lose = func(out []*Wire) {
		for _, w := range out {
			if seen[w.index] {
				continue
			}
			seen[w.index] = true
			next := ends[w.index].consumer
			forms[next] = nil
			if c, ok := n.Stages[next].(Comb); ok {
				if valid, _ := c.Comb(); valid {
					_, out := n.Stages[next].Ports()
					lose(out)
				}
			}
		}
	}
	for _, s := range n.Stages {
		if _, ok := s.(Hasty); ok {
			_, out := s.Ports()
			lose(out)
		}
	}
}
