package trace

import "github.com/meshnic/meshnic/datapath/sim"

// levels counts the bytes that stages which store (sim.Leveller) hold: what
// their inputs accepted and their outputs have not. What the stage itself
// counts may lag behind by its pipeline.
type levels struct {
	top    *topology
	stages []level
	see    func(stage int, at sim.Picos, bytes int)
}

type level struct {
	counts  bool
	held    map[uint32]held // by frame under way
	dropped map[uint32]bool // whose rest still comes in
	bytes   int
	shown   int
	at      sim.Picos // of the change that is not shown yet
}

// held is what a stage holds of a frame.
type held struct {
	bytes int
	whole bool // its last beat has come in
}

func newLevels(top *topology, see func(int, sim.Picos, int)) levels {
	l := levels{top: top, stages: make([]level, len(top.net.Stages)), see: see}
	for i, s := range top.net.Stages {
		if _, ok := s.(sim.Leveller); ok {
			l.stages[i] = level{counts: true, held: map[uint32]held{}, dropped: map[uint32]bool{}, shown: -1}
		}
	}
	return l
}

// until shows what has changed before t.
func (l *levels) until(t sim.Picos) {
	for i := range l.stages {
		if s := &l.stages[i]; s.counts && s.at < t && s.shown != s.bytes {
			l.see(i, s.at, s.bytes)
			s.shown = s.bytes
		}
	}
}

// moved counts a beat that was accepted at a time.
func (l *levels) moved(w *sim.Wire, at sim.Picos, b sim.Beat) {
	if b.Frame == 0 {
		return
	}
	if s := l.change(l.top.consumer[w.Index()], at); s != nil {
		if !s.dropped[b.Frame] {
			s.held[b.Frame] = held{s.held[b.Frame].bytes + int(b.Bytes), b.Last}
			s.bytes += int(b.Bytes)
		} else if b.Last {
			delete(s.dropped, b.Frame)
		}
	}
	if s := l.change(l.top.producer[w.Index()], at); s != nil {
		h := s.held[b.Frame]
		out := min(int(b.Bytes), h.bytes)
		if b.Last {
			out = h.bytes // also what the stage has taken off
			delete(s.held, b.Frame)
		} else {
			h.bytes -= out
			s.held[b.Frame] = h
		}
		s.bytes -= out
	}
}

// dropped forgets a frame: what has come in, and what still comes.
func (l *levels) dropped(stage int, at sim.Picos, frame uint32) {
	s := l.change(stage, at)
	if s == nil {
		return
	}
	h := s.held[frame]
	s.bytes -= h.bytes
	delete(s.held, frame)
	if !h.whole {
		s.dropped[frame] = true
	}
}

// change returns the level of a stage about to change at a time, nil if it
// does not store.
func (l *levels) change(stage int, at sim.Picos) *level {
	s := &l.stages[stage]
	if !s.counts {
		return nil
	}
	if s.at < at && s.shown != s.bytes {
		l.see(stage, s.at, s.bytes)
		s.shown = s.bytes
	}
	s.at = max(s.at, at)
	return s
}
