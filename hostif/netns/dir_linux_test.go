package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif/hostiftest"
)

func needIP(t *testing.T) {
	t.Helper()
	hostiftest.NeedNet(t, Probe)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip(err)
	}
}

// mounted counts the mounts on a path, those out of sight among them.
func mounted(path string) (n int) {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(b)) {
		if strings.Fields(line)[4] == path {
			n++
		}
	}
	return n
}

// lab makes a lab of one host and returns what takes it down.
func lab(t *testing.T, name string) (ns string, down func()) {
	t.Helper()
	j, err := Create(name, nil)
	require.NoError(t, err)
	ns = Name(name, "a")
	require.NoError(t, j.Step(Entry{Kind: KindNetns, Name: ns}, func() error { return New(ns) }))
	return ns, func() {
		t.Helper()
		require.NoError(t, j.Close())
		_, err := Undo(name, UndoOptions{})
		require.NoError(t, err)
	}
}

func inode(t *testing.T, name string) uint64 {
	t.Helper()
	id, ok := nsInode(Path(name))
	require.True(t, ok, name)
	return id
}

// Whoever makes namespaces with ip sees no difference, and the host is left as
// it was found.
func TestLabsAndIP(t *testing.T) {
	needIP(t)
	restored(t)
	hidden := mounted(Dir) // the real host's
	upper := func() int { return mounted(Dir) - hidden }

	_, down := lab(t, "t")
	require.Equal(t, 1, upper())
	hostiftest.IP(t, "netns", "add", "x")
	_, down2 := lab(t, "tt")
	require.Equal(t, 1, upper())
	hostiftest.IP(t, "netns", "del", "x")
	down()
	require.Equal(t, 1, upper(), "the other lab has it")
	down2()
	require.NoDirExists(t, Dir)
	require.Zero(t, upper())

	ns, down := lab(t, "t")
	hostiftest.IP(t, "netns", "add", "x")
	x := inode(t, "x")
	hostiftest.IP(t, "netns", "del", ns) // somebody's mistake
	down()
	require.Equal(t, 1, upper(), "ip has something in it")
	require.Equal(t, x, inode(t, "x"))
	before := snapshot(t)
	_, down = lab(t, "t")
	down()
	require.Equal(t, before, snapshot(t))
	hostiftest.IP(t, "netns", "del", "x")
	before = snapshot(t)
	_, down = lab(t, "t")
	require.Equal(t, 1, upper())
	down()
	require.Equal(t, before, snapshot(t), "the mount is iproute2's")
	unbind(false)

	require.DirExists(t, Dir)
	require.Zero(t, upper())
	before = snapshot(t)
	_, down = lab(t, "t")
	require.Equal(t, 1, upper())
	down()
	require.Equal(t, before, snapshot(t), "the directory is somebody's")
	unbind(true)
}

// A directory in which others have something is left as it is: they can remove
// it while there is a lab.
func TestNewLeavesOthersAlone(t *testing.T) {
	hostiftest.NeedNet(t, Probe)
	restored(t)
	hidden := mounted(Dir)
	require.NoError(t, os.Mkdir(Dir, 0o755))
	require.NoError(t, os.WriteFile(Path("x"), nil, 0o444))
	require.NoError(t, unix.Mount("/proc/self/ns/net", Path("x"), "", unix.MS_BIND, ""))
	_, down := lab(t, "t")
	require.Equal(t, hidden, mounted(Dir))
	require.NoError(t, unix.Unmount(Path("x"), 0))
	require.NoError(t, os.Remove(Path("x")))
	down()
	require.NoError(t, os.Remove(Dir))
}

// The directory may be a link to one of a container runtime's.
func TestNewThroughALink(t *testing.T) {
	hostiftest.NeedNet(t, Probe)
	restored(t)
	to := t.TempDir()
	require.NoError(t, os.Symlink(to, Dir))
	_, down := lab(t, "t")
	require.Equal(t, 1, mounted(to))
	down()
	require.Zero(t, mounted(to))
	require.NoError(t, os.Remove(Dir))
}

// A lab that is up when ip mounts the directory on itself goes all the same,
// and nothing else does.
func TestDeleteWhatIPHasCovered(t *testing.T) {
	needIP(t)
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared ", shared), func(t *testing.T) {
			restored(t)
			hidden := mounted(Dir)
			if shared {
				require.NoError(t, unix.Mount("", "/run", "", unix.MS_SHARED, ""))
				defer unix.Mount("", "/run", "", unix.MS_PRIVATE, "")
			}
			require.NoError(t, os.Mkdir(Dir, 0o755))
			require.NoError(t, os.WriteFile(Path("y"), nil, 0o444)) // so that New leaves the directory alone, as it once did
			require.NoError(t, unix.Mount("/proc/self/ns/net", Path("y"), "", unix.MS_BIND, ""))
			ns, down := lab(t, "t")
			hostiftest.IP(t, "netns", "add", "x")
			require.NoError(t, unix.Mount(Dir, Dir, "", unix.MS_BIND|unix.MS_REC, "")) // two at once did, before iproute2 had a lock
			covers := mounted(Dir)
			require.GreaterOrEqual(t, covers, hidden+2)
			require.GreaterOrEqual(t, mounted(Path(ns)), 3)
			x, y := inode(t, "x"), inode(t, "y")
			mountsY := mounted(Path("y"))

			down()
			require.Zero(t, mounted(Path(ns)))
			require.Equal(t, x, inode(t, "x"))
			require.Equal(t, y, inode(t, "y"))
			require.Equal(t, mountsY, mounted(Path("y")))
			require.Equal(t, covers, mounted(Dir))
			for _, name := range []string{"x", "y"} {
				require.NoError(t, Delete(name))
			}
			unbind(true)
		})
	}
}

// No thread that others use is in another mount namespace after it, and never
// the first, also where so many wait at once that all there are have a turn.
func TestOnLostThread(t *testing.T) {
	const calls = 50
	var gate [2]int
	require.NoError(t, unix.Pipe2(gate[:], unix.O_CLOEXEC))
	bad := errors.New("bad")
	arrived := make(chan int, calls)
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			err := onLostThread(func() error {
				arrived <- unix.Gettid()
				unix.Read(gate[0], make([]byte, 1)) // a thread that waits in the kernel
				return errors.Join(bad, unix.Unshare(unix.CLONE_NEWNS))
			})
			if !errors.Is(err, bad) {
				t.Error(err)
			}
		})
	}
	for range calls {
		require.NotEqual(t, os.Getpid(), <-arrived)
	}
	unix.Close(gate[1])
	wg.Wait()
	unix.Close(gate[0])
	home, err := os.Readlink("/proc/self/ns/mnt")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		tasks, err := os.ReadDir("/proc/self/task")
		require.NoError(t, err)
		return !slices.ContainsFunc(tasks, func(task os.DirEntry) bool {
			to, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/mnt")
			return err == nil && to != home
		})
	}, 20*time.Second, time.Millisecond)
}

// comeAndGo makes a lab and takes it down, many times. It fails unless there is
// one mount on the directory, besides those that are hidden.
func comeAndGo(name string, hidden int) error {
	for range 30 {
		j, err := Create(name, nil)
		if err != nil {
			return err
		}
		ns := Name(name, "a")
		if err := j.Step(Entry{Kind: KindNetns, Name: ns}, func() error { return New(ns) }); err != nil {
			return err
		}
		if n := mounted(Dir); n != hidden+1 {
			return fmt.Errorf("%d mounts, %d of them hidden", n, hidden)
		}
		j.Close()
		if _, err := Undo(name, UndoOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// Processes that make and remove labs at the same time do not take the mount
// from under each other, nor make a second one, nor leave it behind. Nor does
// ip, while there is a lab.
func TestManyProcesses(t *testing.T) {
	needIP(t)
	restored(t)
	hidden := mounted(Dir)
	start := func() (wait func()) {
		var all []*exec.Cmd
		for i := range 3 {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), "NETNS_TEST_CHILD=labs", "NETNS_TEST_LAB=p"+itoa(i), "NETNS_TEST_HIDDEN="+itoa(hidden))
			cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
			require.NoError(t, cmd.Start())
			all = append(all, cmd)
		}
		return func() {
			for _, cmd := range all {
				require.NoError(t, cmd.Wait())
			}
		}
	}
	start()()
	require.NoDirExists(t, Dir)

	_, down := lab(t, "t")
	wait := start()
	for range 30 {
		hostiftest.IP(t, "netns", "add", "x")
		hostiftest.IP(t, "netns", "del", "x")
	}
	wait()
	down()
}
