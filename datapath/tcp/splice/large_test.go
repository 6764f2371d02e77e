package splice

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/wire"
)

// A body of more bytes than there are sequence numbers ends where it does.
func TestBodiesBeyondSequenceNumbers(t *testing.T) {
	const size = 9<<30 + 1000
	b := newBench(t, 1, relay{response: size})
	f := &b.clients[0]
	b.request(f, benchHead)
	require.True(t, b.server(f, wire.ACK, benchHead))
	x := b.e.exchange(f.n)
	const step = 1 << 28 // lost segments between, which an engine does not see
	for sent := uint64(0); ; {
		require.True(t, b.server(f, wire.ACK, benchBody), "%d bytes", sent)
		require.Equal(t, busy, x.phase)
		if sent += benchBody; sent == size {
			break
		}
		skip := min(step, size-sent-benchBody)
		f.useq = f.useq.Add(uint32(skip))
		sent += skip
		f.ack = b.e.conn(f.n).sndNxt
		b.client(f, wire.ACK, 0)
	}
	require.True(t, x.resp.whole)
	f.ack = b.e.conn(f.n).sndNxt
	b.client(f, wire.ACK, 0)
	require.Equal(t, idle, x.phase)
}
