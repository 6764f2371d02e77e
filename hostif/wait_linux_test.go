package hostif

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// fdLink is a link of which only the descriptor matters.
type fdLink struct {
	Link
	fd    int
	woken int
}

func (l *fdLink) Fd() int { return l.fd }
func (l *fdLink) Woken()  { l.woken++ }

// pipeLink returns a link whose descriptor polls readable after poke.
func pipeLink(t *testing.T) (l *fdLink, poke func()) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	return &fdLink{fd: int(r.Fd())}, func() { _, _ = w.Write([]byte{1}) }
}

func TestWaiter(t *testing.T) {
	a, pokeA := pipeLink(t)
	b, pokeB := pipeLink(t)
	none := &fdLink{fd: -1}
	w := NewWaiter([]Link{none, a, b})
	defer w.Close()

	for _, timeout := range []time.Duration{0, -time.Second, 300 * time.Microsecond, 20 * time.Millisecond} {
		start := time.Now()
		ready, err := w.Wait(timeout)
		require.NoError(t, err)
		require.False(t, ready)
		require.Less(t, time.Since(start), timeout+10*time.Second)
	}
	start := time.Now()
	ready, err := w.Wait(time.Hour)
	require.NoError(t, err)
	require.False(t, ready)
	require.Less(t, time.Since(start), 20*time.Second, "a wait is bounded, whatever is asked")

	time.AfterFunc(10*time.Millisecond, pokeB)
	require.Eventually(t, func() bool { ready, err := w.Wait(time.Second); return ready && err == nil }, 20*time.Second, time.Microsecond)
	require.Equal(t, []int{0, 0}, []int{none.woken, a.woken})
	require.NotZero(t, b.woken)
	pokeA()
	ready, err = w.Wait(0)
	require.NoError(t, err)
	require.True(t, ready, "what is readable stays so until it is read")
	require.Equal(t, 1, a.woken)
}

// A file, as a capture's, is always readable, and two links may share one
// descriptor.
func TestWaiterOddDescriptors(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/capture")
	require.NoError(t, err)
	defer f.Close()
	ready, err := Wait([]Link{&fdLink{fd: int(f.Fd())}}, time.Hour)
	require.NoError(t, err)
	require.True(t, ready)

	a, poke := pipeLink(t)
	poke()
	ready, err = Wait([]Link{a, &fdLink{fd: a.fd}}, 0)
	require.NoError(t, err)
	require.True(t, ready)

	ready, err = Wait(nil, time.Millisecond)
	require.NoError(t, err)
	require.False(t, ready)
}

// The wait keeps its processor from the scheduler; a collection must get through
// all the same: by a signal, or after a few times waitMax where that is missed.
func TestWaitDoesNotHoldUpTheCollector(t *testing.T) {
	a, poke := pipeLink(t)
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		w := NewWaiter([]Link{a})
		defer w.Close()
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = w.Wait(time.Hour)
			}
		}
	}()
	for range 5 {
		time.Sleep(5 * time.Millisecond) // it waits by now
		start := time.Now()
		runtime.GC()
		require.Less(t, time.Since(start), 100*waitMax)
	}
	close(stop)
	poke()
	<-done
}

func TestWaitAllocatesNothing(t *testing.T) {
	a, poke := pipeLink(t)
	poke()
	w := NewWaiter([]Link{a})
	defer w.Close()
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = w.Wait(0) }))
}

func TestWaiterWithoutPwait2(t *testing.T) {
	a, poke := pipeLink(t)
	w := NewWaiter([]Link{a})
	w.coarse = true
	start := time.Now()
	ready, err := w.Wait(1500 * time.Microsecond)
	require.NoError(t, err)
	require.False(t, ready)
	require.GreaterOrEqual(t, time.Since(start), time.Duration(0))
	poke()
	ready, err = w.Wait(0)
	require.NoError(t, err)
	require.True(t, ready)
	require.NoError(t, w.Close())
	_, err = w.Wait(0)
	require.ErrorIs(t, err, unix.EBADF)
}
