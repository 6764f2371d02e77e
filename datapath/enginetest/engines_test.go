package enginetest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/pipeline"
)

var (
	soak   = flag.Duration("for", 0, "compare new cases for this long")
	from   = flag.Uint64("from", 0, "with -for: the first seed; 0: by the clock")
	update = flag.Bool("update", false, "write testdata/digests.txt")
)

const cases = 20_000

func draw(seed uint64) *Case { return Draw(rand.NewPCG(seed, 0)) }

// agree compares the engines on cases of seeds that next gives, on all cores, and
// fails with the first that differs, shrunk. It returns how many there were.
func agree(t *testing.T, next func() (seed uint64, ok bool), seen func(c *Case)) uint64 {
	var done atomic.Uint64
	var failed atomic.Bool
	var mu sync.Mutex
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			b := &bench{}
			for seed, ok := next(); ok && !failed.Load(); seed, ok = next() {
				c := draw(seed)
				d := b.diff(c)
				done.Add(1)
				mu.Lock()
				if seen != nil {
					seen(c)
				}
				mu.Unlock()
				if d == "" || failed.Swap(true) {
					continue
				}
				small := b.shrink(c, 3000)
				t.Errorf("seed %d: %s\n\nshrunk: %s\n\n%s", seed, d, b.diff(small), small.GoTest(fmt.Sprint("Seed", seed)))
			}
		})
	}
	all.Wait()
	return done.Load()
}

// Twenty thousand cases: every beat's cycle, every level and every loss is the same
// under both engines, whatever the order of stages, whichever of them are native,
// and however time goes on. Every module and every pattern comes up.
func TestEnginesAgree(t *testing.T) {
	var seed atomic.Uint64
	modules, patterns := map[string]int{}, map[string]int{}
	stages := map[int]int{}
	n := agree(t, func() (uint64, bool) { s := seed.Add(1); return s, s <= cases }, func(c *Case) {
		stages[len(c.Pipeline.Stages)]++
		for _, st := range c.Pipeline.Stages {
			modules[st.Module]++
		}
		for _, s := range c.Sinks {
			patterns[s.Pattern]++
		}
	})
	if t.Failed() {
		return
	}
	require.EqualValues(t, cases, n)
	for _, m := range pipeline.Modules {
		require.NotZero(t, modules[m.Name], "module %s was never drawn", m.Name)
	}
	for _, p := range Patterns {
		require.NotZero(t, patterns[p], "pattern %s was never drawn", p)
	}
	t.Logf("cases by stages: %v", stages)
	t.Logf("stages by module: %v", modules)
	t.Logf("outputs by pattern: %v", patterns)
}

// TestSoak looks for cases that no test has seen: see `make soak-engines`.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("without -for")
	}
	var seed atomic.Uint64
	seed.Store(*from)
	if *from == 0 {
		seed.Store(uint64(time.Now().UnixNano()))
	}
	first := seed.Load() + 1
	end := time.Now().Add(*soak)
	start := time.Now()
	n := agree(t, func() (uint64, bool) { return seed.Add(1), time.Now().Before(end) }, nil)
	fmt.Printf("%d cases from seed %d on in %s: %.0f a second\n", n, first, time.Since(start).Round(time.Second), float64(n)/time.Since(start).Seconds())
}

const digests = "testdata/digests.txt"

// The same seed is the same case, with the same cycles, on every machine.
func TestDigests(t *testing.T) {
	var b strings.Builder
	for seed := uint64(1); seed <= 500; seed++ {
		d, err := draw(seed).Digest()
		require.NoError(t, err)
		fmt.Fprintf(&b, "%d %s\n", seed, strconv.FormatUint(d, 16))
	}
	if *update {
		require.NoError(t, os.WriteFile(digests, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(digests)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "if modules or what is drawn have changed on purpose: go test ./datapath/enginetest -run Digests -update")
}
