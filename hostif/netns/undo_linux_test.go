package netns

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/internal/failure"
)

// Undo takes back one thing of every kind, and again, and does nothing to what
// has not been made.
func TestUndoEveryKind(t *testing.T) {
	hostiftest.NeedNet(t, Probe)
	restored(t)
	const sysctl = "net.ipv4.ip_forward"
	value := func() string {
		b, err := os.ReadFile(sysctlPath(sysctl))
		require.NoError(t, err)
		return strings.TrimSpace(string(b))
	}
	old := value()
	other := map[string]string{"0": "1", "1": "0"}[old]
	file, dir := filepath.Join(t.TempDir(), "f"), filepath.Join(t.TempDir(), "d")
	type setting struct{ Was int }
	state := 5
	handlers := map[string]UndoFunc{"test": func(b []byte) error {
		var s setting
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		state = s.Was
		return nil
	}}
	for _, made := range []bool{true, false} {
		j, err := Create("t", nil)
		require.NoError(t, err)
		do := func(f func() error) func() error {
			if made {
				return f
			}
			return func() error { return nil }
		}
		ns := Name("t", "a")
		require.NoError(t, j.Step(Entry{Kind: KindNetns, Name: ns}, do(func() error { return New(ns) })))
		require.NoError(t, j.Step(Entry{Kind: KindLink, Name: "mnic0"}, do(func() error {
			return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "mnic0"}, PeerName: "mnic1"})
		})))
		require.NoError(t, j.Step(Entry{Kind: KindFile, Path: file}, do(func() error { return os.WriteFile(file, nil, 0o600) })))
		require.NoError(t, j.Step(Entry{Kind: KindDir, Path: dir}, do(func() error { return os.Mkdir(dir, 0o700) })))
		require.NoError(t, j.Step(Entry{Kind: KindSysctl, Path: sysctl, Old: old}, do(func() error { return writeSysctl(sysctl, other) })))
		require.NoError(t, j.Setting("test", "", setting{state}))
		require.NoError(t, j.Setting("nobody knows", ns, 1), "it goes with the namespace")
		var p *exec.Cmd
		if made {
			state = 6
			require.Equal(t, other, value())
			p = exec.Command("sleep", "100") // not in a namespace of the lab: only the journal knows it
			require.NoError(t, p.Start())
			start, err := StartTime(p.Process.Pid)
			require.NoError(t, err)
			require.NoError(t, j.Record(Entry{Kind: KindProcess, Pid: p.Process.Pid, Start: start}))
		}
		found, err := Undo("t", UndoOptions{Handlers: handlers})
		require.NoError(t, err)
		require.True(t, found)
		if p != nil {
			require.ErrorContains(t, p.Wait(), "killed")
		}
		require.Equal(t, old, value())
		require.Equal(t, 5, state)
		require.NoFileExists(t, file)
		require.NoDirExists(t, dir)
		require.NoError(t, j.Close())
		found, err = Undo("t", UndoOptions{})
		require.NoError(t, err)
		require.False(t, found)
	}
}

// A setting that cannot be restored keeps the journal for another try, and
// everything else is undone all the same.
func TestUndoKeepsWhatItCannotRestore(t *testing.T) {
	hostiftest.NeedNet(t, Probe)
	restored(t)
	ns := Name("t", "a")
	j, err := Create("t", nil)
	require.NoError(t, err)
	require.NoError(t, j.Setting("ethtool", "", map[string]bool{"was": true}))
	require.NoError(t, j.Step(Entry{Kind: KindNetns, Name: ns}, func() error { return New(ns) }))

	_, err = Undo("t", UndoOptions{})
	require.ErrorContains(t, err, `a setting of kind "ethtool": {"was":true}`)
	require.NoFileExists(t, Path(ns))
	bad := errors.New("busy")
	_, err = Undo("t", UndoOptions{Handlers: map[string]UndoFunc{"ethtool": func([]byte) error { return bad }}})
	require.ErrorIs(t, err, bad)
	calls := 0
	_, err = Undo("t", UndoOptions{Handlers: map[string]UndoFunc{"ethtool": func([]byte) error { calls++; return fs.ErrNotExist }}})
	require.NoError(t, err, "an interface that is gone needs nothing restored")
	require.Equal(t, 1, calls)

	j, err = Create("t", nil)
	require.NoError(t, err)
	require.NoError(t, j.Setting("ethtool", "", 1))
	_, err = Undo("t", UndoOptions{Force: true})
	require.NoError(t, err)
}

// Without its journal a lab is known by the names of its namespaces, and its
// processes by where they live.
func TestUndoByNameAlone(t *testing.T) {
	hostiftest.NeedNet(t, Probe)
	restored(t)
	for _, host := range []string{"a", "b-c"} {
		require.NoError(t, New(Name("t", host)))
	}
	require.NoError(t, New(Name("tt", "a")), "another lab")
	require.NoError(t, os.WriteFile(Path(Name("t", "half")), nil, 0o444), "made, not yet mounted on")
	p := inNS(t, Name("t", "a"), "sleep", "100")
	spared := inNS(t, Name("tt", "a"), "sleep", "100")
	child := inNS(t, Name("t", "b-c"), "sh", "-c", "sleep 100 & sleep 100 & wait")
	found, err := ProcessesIn([]string{Name("t", "a")})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, p.Process.Pid, found[0].Pid)
	require.Equal(t, "sleep 100", found[0].Command)

	ok, err := Undo("t", UndoOptions{})
	require.NoError(t, err)
	require.True(t, ok)
	require.ErrorContains(t, p.Wait(), "killed")
	require.ErrorContains(t, child.Wait(), "killed")
	names, err := Labs()
	require.NoError(t, err)
	require.Equal(t, []string{"tt"}, names)
	require.NoError(t, spared.Process.Signal(syscall.Signal(0)), "the other lab's process lives")
	_, err = Undo("tt", UndoOptions{})
	require.NoError(t, err)
	unbind(true) // no journal said who made it
}

// A pid is not enough to kill by: the process must have been started when the
// journal says.
func TestKillSparesARecycledPid(t *testing.T) {
	p := exec.Command("sleep", "100")
	require.NoError(t, p.Start())
	start, err := StartTime(p.Process.Pid)
	require.NoError(t, err)
	require.NoError(t, kill(p.Process.Pid, start+1))
	require.NoError(t, kill(p.Process.Pid, start-1))
	st, err := readStat(p.Process.Pid)
	require.NoError(t, err)
	require.NotEqual(t, byte('Z'), st.state)
	require.NoError(t, kill(p.Process.Pid, start))
	require.ErrorContains(t, p.Wait(), "killed")
	require.NoError(t, kill(p.Process.Pid, start), "it is gone")
}

func TestSelfAndAncestorsAreSpared(t *testing.T) {
	hostiftest.NeedNet(t, Probe)
	restored(t)
	ns := Name("t", "a")
	require.NoError(t, New(ns))
	defer unbind(true)
	defer Undo("t", UndoOptions{})
	set := ancestors()
	require.True(t, set[os.Getpid()] && set[os.Getppid()])
	require.NoError(t, Do(ns, func() error {
		procs, err := ProcessesIn([]string{ns})
		require.Empty(t, procs)
		return err
	}))
}

// own starts a process that owns a lab.
func own(t *testing.T, lab string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "NETNS_TEST_CHILD=own", "NETNS_TEST_LAB="+lab)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	require.Equal(t, "owned\n", line)
	return cmd
}

func TestConflictNamesTheOwner(t *testing.T) {
	hostiftest.NeedNet(t, Probe)
	restored(t)
	cmd := own(t, "t")
	_, err := Create("t", nil)
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorContains(t, err, "in use by process "+itoa(cmd.Process.Pid))
	found, err := Undo("t", UndoOptions{})
	require.True(t, found)
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorContains(t, err, "in use by process "+itoa(cmd.Process.Pid))
	_, err = Load("t")
	require.NoError(t, err)

	require.NoError(t, cmd.Process.Kill())
	require.Eventually(t, func() bool { st, err := Load("t"); return err == nil && !st.Alive }, 20*time.Second, time.Millisecond, "a zombie owns nothing")
	_, err = Create("t", nil)
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorContains(t, err, "left behind")
	require.ErrorContains(t, err, "meshnic lab down t")
	_, err = Undo("t", UndoOptions{})
	require.NoError(t, err)

	own(t, "t")
	_, err = Undo("t", UndoOptions{Force: true})
	require.NoError(t, err, "forced")
}

// While a lab gets its name, no other lab appears or disappears.
func TestOneAtATime(t *testing.T) {
	hostiftest.NeedNet(t, Probe)
	restored(t)
	type result struct {
		who string
		err error
	}
	results := make(chan result, 3)
	j, err := Create("t", func(point string) {
		if point != "claimed" {
			return
		}
		go func() {
			_, err := Create("t", nil)
			results <- result{"the same name", err}
		}()
		go func() { results <- result{"tidy", Tidy()} }()
		select {
		case r := <-results:
			t.Errorf("%s did not wait: %v", r.who, r.err)
		case <-time.After(50 * time.Millisecond):
		}
	})
	require.NoError(t, err)
	defer j.Close()
	for range 2 {
		if r := <-results; r.who == "tidy" {
			require.NoError(t, r.err)
		} else {
			require.Equal(t, failure.Conflict, failure.KindOf(r.err))
		}
	}
	_, err = Undo("t", UndoOptions{})
	require.NoError(t, err)
}

// Labs come and go at the same time without taking the directories they share
// from under each other, and one name goes to one of those who want it.
func TestManyAtOnce(t *testing.T) {
	hostiftest.NeedNet(t, Probe)
	restored(t)
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	for i := range 6 {
		wg.Go(func() {
			lab := "t_" + itoa(i)
			for range 40 {
				j, err := Create(lab, nil)
				if err == nil {
					ns := Name(lab, "a")
					err = errors.Join(j.Step(Entry{Kind: KindNetns, Name: ns}, func() error { return New(ns) }), j.Close())
				}
				_, undoErr := Undo(lab, UndoOptions{})
				if err = errors.Join(err, undoErr); err != nil {
					errs <- err
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}

	var won atomic.Int32
	for range 8 {
		wg.Go(func() {
			j, err := Create("t", nil)
			if err == nil {
				won.Add(1)
				j.Close()
				return
			}
			if failure.KindOf(err) != failure.Conflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load())
	_, err := Undo("t", UndoOptions{})
	require.NoError(t, err)
}

// An owner that cannot be looked up counts as alive; one of an earlier boot
// does not.
func TestOwnerAlive(t *testing.T) {
	me, err := ownerEntry()
	require.NoError(t, err)
	require.True(t, ownerAlive(me))
	other := me
	other.Start++
	require.False(t, ownerAlive(other))
	other.PidNS++
	require.True(t, ownerAlive(other))
	other.Boot = "before"
	require.False(t, ownerAlive(other))
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}
