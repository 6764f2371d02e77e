package lab

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
)

// self returns this test binary, started for a verb of child.
func self(verb, arg, arg2 string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv(verb, arg, arg2)...)
	return cmd
}

func childEnv(verb, arg, arg2 string) []string {
	// Under the race detector a process sleeps a second before it ends.
	return []string{childVar + "=" + verb, childArg + "=" + arg, childArg2 + "=" + arg2, "GORACE=atexit_sleep_ms=0"}
}

// damage is what may have happened to the journal by the time of the clean.
var damage = []struct {
	name string
	do   func(journal string, rng *rand.Rand)
}{
	{"whole", func(string, *rand.Rand) {}},
	{"cut short", func(path string, rng *rand.Rand) {
		if fi, err := os.Stat(path); err == nil {
			os.Truncate(path, rng.Int64N(fi.Size()+1))
		}
	}},
	{"missing", func(path string, _ *rand.Rand) { os.Remove(path) }},
	{"missing with its directory", func(path string, _ *rand.Rand) { os.RemoveAll(filepath.Dir(path)) }},
	{"overwritten", func(path string, _ *rand.Rand) {
		if fi, err := os.Stat(path); err == nil {
			os.WriteFile(path, make([]byte, fi.Size()), 0o600)
		}
	}},
}

// A lab whose owner is killed with SIGKILL, at any point of its making, its
// life and its unmaking, is removed by the next clean, whatever is left of its
// journal: the host is exactly what it was.
func TestKilledAtEveryStep(t *testing.T) { killedAtEveryStep(t, "", 1) }

// So is a cluster's, whose name server would live on.
func TestClusterKilledAtSteps(t *testing.T) { killedAtEveryStep(t, "cluster", 5) }

func TestTwoNodesKilledAtSteps(t *testing.T) { killedAtEveryStep(t, "nodes", 9) }

func TestClusterWithNICKilledAtSteps(t *testing.T) { killedAtEveryStep(t, "nic", 9) }

func killedAtEveryStep(t *testing.T, kind string, stride int) {
	hostiftest.NeedNet(t, netns.Probe)
	before := snapshot(t)
	alive := others(t)
	out, err := self("crash", "0", kind).CombinedOutput()
	require.NoError(t, err, "%s", out)
	total, err := strconv.Atoi(strings.TrimSpace(string(out)))
	require.NoError(t, err)
	require.Greater(t, total, 60)
	clean(t, before, alive, "after a life to the end")

	rng := rand.New(rand.NewPCG(1, 2))
	began := time.Now()
	if slow {
		stride *= 10
	}
	for n := 1; n <= total; n += stride {
		// Every point with a whole journal, and with one of the damages.
		for _, d := range []int{0, 1 + n%(len(damage)-1)} {
			kill9(t, n, kind)
			if d == 0 && n > total/4 {
				require.NotEqual(t, before, snapshot(t), "there is something to clean after step %d", n)
			}
			run, err := netns.RunDir()
			require.NoError(t, err)
			damage[d].do(filepath.Join(run, "crash", "journal.jsonl"), rng)
			clean(t, before, alive, fmt.Sprintf("killed at %d of %d, journal %s", n, total, damage[d].name))
			if testing.Short() {
				break
			}
		}
	}
	t.Logf("%d points, %v", total, time.Since(began))
}

// kill9 lets a child kill itself at point n.
func kill9(t *testing.T, n int, kind string) {
	t.Helper()
	out, err := self("crash", strconv.Itoa(n), kind).CombinedOutput()
	require.ErrorContains(t, err, "killed", "%d: %s", n, out)
}

// clean cleans and compares. The journal of a lab that lived long enough to
// change a setting needs its undoer.
func clean(t *testing.T, before string, alive int, when string) {
	t.Helper()
	_, err := Clean(false, Undoers{"test": func([]byte) error { return nil }})
	require.NoError(t, err, when)
	require.Equal(t, before, snapshot(t), when)
	require.Eventually(t, func() bool { return others(t) == alive }, 20*time.Second, time.Millisecond, "%s: processes remain", when)
}

// others counts the processes of this host that run.
func others(t *testing.T) (n int) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, d := range dirs {
		b, err := os.ReadFile(d)
		if err == nil && !strings.Contains(string(b), ") Z ") {
			n++
		}
	}
	return n
}

// The same at moments that no step marks.
func TestKilledAtAnyTime(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	before, alive := snapshot(t), others(t)
	rng := rand.New(rand.NewPCG(3, 4))
	n := 30
	if testing.Short() || slow {
		n = 5
	}
	for i := range n {
		cmd := self("crash", "0", "")
		require.NoError(t, cmd.Start())
		delay := time.Duration(rng.IntN(60_000)) * time.Microsecond
		time.Sleep(delay)
		cmd.Process.Kill()
		cmd.Wait()
		clean(t, before, alive, fmt.Sprintf("run %d, killed after %v", i, delay))
	}
}

// Several cleans at once do not disturb each other, and one that is killed in
// the middle is finished by the next.
func TestCleansAtOnce(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	before, alive := snapshot(t), others(t)
	for range 5 {
		kill9(t, 50, "")
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { _, errs[i] = Clean(false, Undoers{"test": func([]byte) error { return nil }}) })
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		clean(t, before, alive, "cleaned already")
	}
}

// The owner's programs end with it, long before anybody cleans.
func TestProgramsEndWithTheirOwner(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	before, alive := snapshot(t), others(t)
	cmd := self("up", "t", "start")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	out := &lines{}
	cmd.Stdout = out
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return strings.Count(out.String(), "\n") == 2 }, 30*time.Second, time.Millisecond)
	require.Equal(t, alive+2, others(t))
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	require.Eventually(t, func() bool { return others(t) == alive }, 20*time.Second, time.Millisecond)
	clean(t, before, alive, "owner killed")
}
