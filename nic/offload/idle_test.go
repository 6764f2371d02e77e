package offload

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// A proxy takes memory as connections come, not for all that there may be.
func TestIdleMemory(t *testing.T) {
	const most = 1 << 18
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	d := newSized(t, 1, most, nil, nil)
	idle := held() - before
	for port := range uint16(1000) {
		d.connect(t, 5000+port)
	}
	used := held() - before
	t.Logf("%d KiB of which %d are the index, with 1,000 connections %d", idle>>10, most*2*4>>10, used>>10)
	require.Less(t, idle, uint64(4<<20))
	require.Less(t, used, uint64(6<<20))
	runtime.KeepAlive(d)
}
