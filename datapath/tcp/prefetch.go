package tcp

import (
	"unsafe"

	"github.com/meshnic/meshnic/datapath/tcp/flowindex"
)

// A Hint says where in memory the flow of a frame may be. The zero Hint is none.
type Hint uint64

// Hint and Warm bring the flows of a batch of frames near before the frames are
// processed: Hint each frame, then Warm each Hint, then Process each packet. With
// a million flows nearly every frame's flow is far away, twice, once in the index
// and once in the table, and without them Process waits for both. They change
// nothing but how long Process takes: frames need not be valid, and a wrong or a
// missing Hint is harmless.
//
// A frame without a Hint is one that is not TCP right behind Ethernet, at most
// one VLAN tag, and IP.
func (t *Tracker) Hint(frame []byte) Hint {
	k, ok := flowindex.Peek(frame)
	if !ok {
		return 0
	}
	hash := t.table.index.Hash(&k)
	t.table.index.Prefetch(hash)
	return Hint(hash)
}

// Warm goes from the index to the flow. See Hint.
func (t *Tracker) Warm(h Hint) {
	if h == 0 {
		return
	}
	p := t.table.index.Probe(uint64(h))
	if n, ok := t.table.index.Next(&p); ok {
		flowindex.Prefetch3(unsafe.Pointer(&t.table.entries[n]))
	}
}
