package mem_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/mem"
)

func TestContract(t *testing.T) {
	for name, opts := range map[string][]mem.Option{
		"plain":    nil,
		"offloads": {mem.WithOffloads()},
		"jumbo":    {mem.WithMTU(9000)},
	} {
		t.Run(name, func(t *testing.T) {
			hostiftest.RunLink(t, func(t *testing.T) (hostif.Link, hostif.Link) {
				a, b := mem.Pipe(1024, opts...)
				t.Cleanup(func() { _, _ = a.Close(), b.Close() })
				return a, b
			})
		})
	}
}

func TestFull(t *testing.T) {
	a, b := mem.Pipe(2)
	defer a.Close()
	defer b.Close()
	n, err := a.Send([]*hostif.Frame{hostiftest.Frame(1, 60), hostiftest.Frame(2, 60), hostiftest.Frame(3, 60)})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.EqualValues(t, 1, a.Stats().TxDropFull)
}

func TestEOF(t *testing.T) {
	a, b := mem.Pipe(4)
	defer b.Close()
	_, err := a.Send([]*hostif.Frame{hostiftest.Frame(1, 60)})
	require.NoError(t, err)
	require.NoError(t, a.Close())
	frames := make([]*hostif.Frame, 4)
	n, err := b.Recv(frames)
	require.NoError(t, err, "what is on the wire arrives before the end")
	require.Equal(t, 1, n)
	for range 2 {
		require.True(t, hostiftest.Readable(b.Fd(), 20*time.Second))
		_, err = b.Recv(frames)
		require.ErrorIs(t, err, io.EOF)
	}
}

// Links of one pool hand frames on without a copy.
func TestMove(t *testing.T) {
	pool := mem.NewPool()
	a, b := mem.Pipe(4, mem.WithPool(pool))
	c, d := mem.Pipe(4, mem.WithPool(pool))
	for _, l := range []*mem.Link{a, b, c, d} {
		defer l.Close()
	}
	frames := make([]*hostif.Frame, 4)
	for seq := range uint32(100) {
		_, err := a.Send([]*hostif.Frame{hostiftest.Frame(seq, 60)})
		require.NoError(t, err)
		n, err := b.Recv(frames)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		f, at := frames[0], &frames[0].Data[0]
		_, err = c.Send(frames[:1])
		require.NoError(t, err)
		require.True(t, f.Taken)
		_, err = b.Recv(frames) // must not take the frame back
		require.NoError(t, err)
		n, err = d.Recv(frames)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Same(t, at, &frames[0].Data[0], "copied")
		require.Equal(t, seq, hostiftest.Seq(frames[0].Data))
	}
}

func BenchmarkPipe(b *testing.B) {
	x, y := mem.Pipe(64)
	defer x.Close()
	defer y.Close()
	batch, got := make([]*hostif.Frame, 32), make([]*hostif.Frame, 32)
	for i := range batch {
		batch[i] = hostiftest.Frame(uint32(i), 60)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = x.Send(batch)
		_, _ = y.Recv(got)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*32), "ns/frame")
}
