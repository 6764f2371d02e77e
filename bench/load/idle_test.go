package load

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

func TestIdle(t *testing.T) {
	var answered atomic.Int32
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answered.Add(1)
		w.WriteHeader(status)
	}))
	t.Cleanup(srv.Close)
	target := netip.MustParseAddrPort(srv.Listener.Addr().String())

	ctx, cancel := context.WithCancel(t.Context())
	res, err := Idle(ctx, IdleConfig{Target: target, Connections: 20, Ready: func() {
		require.EqualValues(t, 20, answered.Load())
		cancel()
	}})
	require.NoError(t, err)
	require.Equal(t, &IdleResult{Schema: Schema, Mode: "idle", Connections: 20}, res)

	ctx, cancel = context.WithCancel(t.Context())
	res, err = Idle(ctx, IdleConfig{Target: target, Connections: 5, Ready: func() {
		srv.CloseClientConnections()
		time.AfterFunc(50*time.Millisecond, cancel)
	}})
	require.NoError(t, err)
	require.Equal(t, 5, res.Closed)

	status = http.StatusServiceUnavailable
	_, err = Idle(t.Context(), IdleConfig{Target: target, Connections: 1})
	require.ErrorContains(t, err, "idle connection 1 of 1: answered 503")
	for _, c := range []IdleConfig{{Connections: 1}, {Target: target}, {Target: target, Connections: 20000}, {Target: target, Connections: 1, Timeout: -1}} {
		_, err := Idle(t.Context(), c)
		require.Equal(t, failure.Usage, failure.KindOf(err), "%+v", c)
	}
}
