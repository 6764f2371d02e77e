package offload_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/nic/nictest"
)

// Bodies that come while their server's connection is being opened need not be sent again,
// however they come. Where a connection takes longer than two round trips of the client's
// and 2 ms, gVisor probes (RFC 8985 §7), but its timer does not run out.
//
// The pieces of a head are written one after the other here: of those of one instant,
// gVisor's RACK takes the later ones for older than the first, which is acknowledged.
func TestEarlyBodies(t *testing.T) {
	near := 50 * time.Microsecond
	for _, d := range []struct{ client, server time.Duration }{{near, near}, {time.Millisecond, time.Millisecond}, {30 * time.Millisecond, 30 * time.Millisecond},
		{near, time.Millisecond}, {near, 20 * time.Millisecond}, {near, 30 * time.Millisecond}} {
		for _, e := range []nictest.Exchange{
			{Method: "POST", Body: 13_000},
			{Method: "POST", Body: 13_000, Pieces: 9, Gap: 20 * time.Microsecond},
			{Method: "POST", Body: 100_000},
			{Method: "POST", Body: 100_000, Chunked: true},
			{Method: "PUT", Body: 9000, Chunked: true, Pieces: 20, Gap: time.Millisecond},
			{Method: "POST", Body: 300, Pieces: 40, Gap: 500 * time.Microsecond},
		} {
			e.Answer.Body = 50_000
			t.Run(fmt.Sprintf("%v and %v, %d bytes in %d, chunked %t", d.client, d.server, e.Body, e.Pieces, e.Chunked), func(t *testing.T) {
				c := &nictest.Conversation{
					Clients:     []nictest.HostConfig{{In: nictest.Cable{Latency: d.client}, Out: nictest.Cable{Latency: d.client}}},
					Servers:     []nictest.HostConfig{{In: nictest.Cable{Latency: d.server}, Out: nictest.Cable{Latency: d.server}}},
					Connections: []nictest.Connection{{Exchanges: []nictest.Exchange{e}}},
				}
				r, err := runThrough(c, nil)
				require.NoError(t, err)
				require.Zero(t, r.Timeouts)
				if d.server == near {
					require.Zero(t, r.Retransmits, "%s", transcript(c))
				}
			})
		}
	}
}
