package splice

import (
	"unsafe"

	"github.com/meshnic/meshnic/datapath/tcp/flowindex"
)

// fewConns is how many connections a cache may be trusted with: half a megabyte of them.
const fewConns = 1 << 11

// Hint and Warm bring what the Engine knows of the connections of a batch of frames near
// before the frames are processed: Hint each frame, then Warm, then Process each packet.
// With many connections it is far away three times, one after the other: in the index, in
// the table, and there once more for whoever a connection is joined to; without them
// Process waits for each. They change nothing but how long Process takes: frames need
// not be valid.
func (e *Engine) Hint(frame []byte) {
	if e.t.used < fewConns {
		return
	}
	if k, ok := flowindex.Peek(frame); ok {
		hash := e.t.index.Hash(&k)
		if last := len(e.hints) - 1; last >= 0 && e.hints[last] == hash {
			return // of the same connection
		}
		e.t.index.Prefetch(hash)
		e.hints = append(e.hints, hash)
	}
}

// Warm goes on from what Hint was given. See there.
func (e *Engine) Warm() {
	near := e.hints[:0]
	for _, hash := range e.hints {
		p := e.t.index.Probe(hash)
		if n, ok := e.t.index.Next(&p); ok {
			flowindex.Prefetch2(unsafe.Pointer(e.conn(int32(n))))
			near = append(near, uint64(n))
		}
	}
	for _, n := range near {
		client, c := int32(n), e.conn(int32(n))
		if c.has(flagServer) {
			client = c.peer
		}
		if client != none {
			flowindex.Prefetch2(unsafe.Pointer(e.exchange(client)))
		}
		if c.peer != none {
			flowindex.Prefetch2(unsafe.Pointer(e.conn(c.peer)))
		}
	}
	e.hints = e.hints[:0]
}
