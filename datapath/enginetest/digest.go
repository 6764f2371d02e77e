package enginetest

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
)

// Digest is a number for all that the reference engine does with a case: the
// beats on every wire, the frames lost, the levels. It is the same on every
// machine.
func (c *Case) Digest() (uint64, error) {
	var b bench
	if err := b.tick(c, &b.ref, nil); err != nil {
		return 0, fmt.Errorf("enginetest: %w", err)
	}
	h := fnv.New64a()
	b.ref.write(h)
	return h.Sum64(), nil
}

func (t *trace) write(h hash.Hash64) {
	var buf [8]byte
	put := func(values ...uint64) {
		for _, v := range values {
			binary.LittleEndian.PutUint64(buf[:], v)
			h.Write(buf[:])
		}
	}
	bit := func(b bool) uint64 {
		if b {
			return 1
		}
		return 0
	}
	for i, events := range t.wires {
		put(uint64(i), uint64(len(events)))
		for _, e := range events {
			b := e.beat
			put(bit(e.accepted), uint64(e.at), uint64(b.Frame), uint64(b.Off), uint64(b.Bytes), uint64(b.Left),
				uint64(b.Dest), uint64(b.Lane), bit(b.First), bit(b.Last), bit(b.Bad))
		}
	}
	for _, d := range t.drops {
		put(uint64(d.stage), uint64(d.at), uint64(d.frame), uint64(d.why))
	}
	for _, l := range t.levels {
		put(uint64(l))
	}
}
