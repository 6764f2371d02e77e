package offload_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/nic/offload"
)

// A client is found among connections whose memory is there in part, and one that is not
// there is not.
func TestFlowOfAClient(t *testing.T) {
	b, start := newBench(t)
	start(offload.Config{Mesh: standing(serverIP + ":9")})
	none := netip.MustParseAddrPort("10.0.0.1:1")
	_, ok, err := b.nic.Flow(t.Context(), none)
	require.NoError(t, err)
	require.False(t, ok)
	c, err := b.dial(t, proxyIP+":80")
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	_, err = http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	_, ok, err = b.nic.Flow(t.Context(), none)
	require.NoError(t, err)
	require.False(t, ok)
	where, ok, err := b.nic.Flow(t.Context(), netip.MustParseAddrPort(c.LocalAddr().String()))
	require.NoError(t, err)
	require.True(t, ok)
	require.Contains(t, where, "between two requests")
}
