package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

// lines is output of a program that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func sh(script string) Cmd { return Cmd{Path: "sh", Args: []string{"-c", script}} }

func TestProcess(t *testing.T) {
	l := mustUp(t, twoHosts("t"))

	t.Run("runs to its end", func(t *testing.T) {
		r, err := l.Run(t.Context(), "a", sh("echo out; echo err >&2"))
		require.NoError(t, err)
		require.Equal(t, "out\n", string(r.Stdout))
		require.Equal(t, "err", r.Stderr)
		require.Zero(t, r.Code)
		least := r.CPU // of several: some of what a hypervisor takes counts as the program's
		for range 9 {
			r, err := l.Run(t.Context(), "a", sh("true"))
			require.NoError(t, err)
			least = min(least, r.CPU)
		}
		require.Less(t, least, 20*time.Millisecond, "the copy of ourselves does not count")
		r, err = l.Run(t.Context(), "a", sh("echo boom >&2; exit 3"))
		require.ErrorContains(t, err, "sh in host a: boom: exit status 3")
		require.Equal(t, 3, r.Code)
	})

	t.Run("in its surroundings", func(t *testing.T) {
		core := runtime.NumCPU() - 1
		c := sh("grep Cpus_allowed_list /proc/self/status; nice; pwd; echo $X; env | grep SPAWNED; ls /proc/self/fd; readlink /proc/self/ns/net")
		c.Cores, c.Nice, c.Dir, c.Env = []int{core}, 5, "/proc", []string{"X=y", "PATH=" + os.Getenv("PATH")}
		r, err := l.Run(t.Context(), "a", c)
		require.NoError(t, err)
		f := strings.Fields(string(r.Stdout))
		require.Equal(t, []string{"Cpus_allowed_list:", fmt.Sprint(core), "5", "/proc", "y"}, f[:5])
		require.Equal(t, []string{"0", "1", "2", "3"}, f[5:9], "no descriptor of ours; 3 is that of ls")
		home, err := os.Readlink("/proc/self/ns/net")
		require.NoError(t, err)
		require.NotEqual(t, home, f[9])
		hosts, err := os.ReadFile("/etc/hosts")
		require.NoError(t, err)
		require.NotContains(t, string(hosts), l.IP("a"), "the hosts file is the program's alone")
	})

	t.Run("output in files", func(t *testing.T) {
		dir := t.TempDir()
		c := sh("echo out; echo $X >&2; exit 1")
		c.Stdout, c.Stderr = filepath.Join(dir, "out"), filepath.Join(dir, "err")
		for _, x := range []string{"one", "two"} {
			c.Env = []string{"X=" + x}
			p, err := l.Start("a", c)
			require.NoError(t, err)
			err = p.Wait()
			require.ErrorContains(t, err, x)
			require.Equal(t, x, p.Tail(), "of this run only")
		}
		b, err := os.ReadFile(c.Stderr)
		require.NoError(t, err)
		require.Equal(t, "one\ntwo\n", string(b))
		b, err = os.ReadFile(c.Stdout)
		require.NoError(t, err)
		require.Equal(t, "out\nout\n", string(b))
		c.Stderr = filepath.Join(dir, "no", "err")
		_, err = l.Start("a", c)
		require.Equal(t, failure.Usage, failure.KindOf(err))
	})

	t.Run("a long stderr keeps its end", func(t *testing.T) {
		r, err := l.Run(t.Context(), "a", sh("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done"))
		require.NoError(t, err)
		require.LessOrEqual(t, len(r.Stderr), tailBytes)
		require.True(t, strings.HasSuffix(r.Stderr, "line 2998\nline 2999"))
	})

	t.Run("what cannot start", func(t *testing.T) {
		for _, tt := range []struct {
			name, host string
			cmd        Cmd
			kind       failure.Kind
			text       string
		}{
			{"no such host", "c", sh("true"), failure.Usage, "choose one of a, b"},
			{"no such program", "a", Cmd{Path: "nosuchprogram"}, failure.Unsupported, "nosuchprogram"},
			{"no such core", "a", Cmd{Path: "true", Cores: []int{900}}, failure.Usage, "choose cores below"},
			{"no such directory", "a", Cmd{Path: "true", Dir: "/nosuch"}, failure.Unexpected, "/nosuch: no such file"},
			{"not a program", "a", Cmd{Path: notAProgram(t)}, failure.Unsupported, "exec format error"},
		} {
			_, err := l.Start(tt.host, tt.cmd)
			require.Equal(t, tt.kind, failure.KindOf(err), "%s: %v", tt.name, err)
			require.ErrorContains(t, err, tt.text, tt.name)
		}
	})

	t.Run("waiting for a server", func(t *testing.T) {
		p, err := l.Start("b", sh("sleep 0.05; echo cannot bind >&2; exit 2"))
		require.NoError(t, err)
		err = p.WaitListening(":80", 20*time.Second)
		require.ErrorContains(t, err, "sh in host b does not listen on :80")
		require.ErrorContains(t, err, "next: see whether sh runs by itself")
		require.ErrorContains(t, err, "exit status 2")
		require.ErrorContains(t, err, "cannot bind")
		p, err = l.Start("b", sh("echo starting >&2; sleep 100"))
		require.NoError(t, err)
		err = p.WaitListening(":80", 50*time.Millisecond)
		require.ErrorContains(t, err, "within 50ms; its last words: starting")
		require.Equal(t, failure.Usage, failure.KindOf(p.WaitListening("80", time.Second)))
		p.Stop(time.Second)
		p = serve(t, l, "b", l.IP("b")+":80", "b")
		require.Error(t, p.WaitListening(":81", 10*time.Millisecond))
		require.Error(t, p.WaitListening("127.0.0.1:80", 10*time.Millisecond))
		q, err := l.Start("b", Cmd{Path: "/proc/self/exe", Env: append(os.Environ(), childEnv("serve", l.IP("b")+":80", "again")...)})
		require.NoError(t, err)
		require.ErrorContains(t, q.Wait(), "address already in use")
		p.Stop(time.Second)
	})

	t.Run("stop", func(t *testing.T) {
		p, err := l.Start("a", sh("trap 'echo bye >&2; exit 0' TERM; echo ready >&2; while :; do sleep 0.01; done"))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return p.Tail() == "ready" }, 20*time.Second, time.Millisecond)
		p.Stop(5 * time.Second)
		require.NoError(t, p.Wait())
		require.True(t, strings.HasSuffix(p.Tail(), "bye"), p.Tail())
		p.Stop(time.Second)

		p, err = l.Start("a", sh("trap '' TERM; echo ready >&2; while :; do sleep 0.01; done"))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return p.Tail() == "ready" }, 20*time.Second, time.Millisecond)
		began := time.Now()
		p.Stop(50 * time.Millisecond)
		require.ErrorContains(t, p.Wait(), "killed")
		require.Less(t, time.Since(began), 20*time.Second)
	})

	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := l.Run(ctx, "a", sh("sleep 100; true"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(began), 20*time.Second)
	})

	t.Run("CPU time of all threads", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out")
		p, err := l.Start("a", Cmd{Path: "/proc/self/exe", Stdout: out, Env: append(os.Environ(), childEnv("burn", "", "")...)})
		require.NoError(t, err)
		require.Eventually(t, func() bool { b, _ := os.ReadFile(out); return string(b) == "burnt\n" }, 30*time.Second, time.Millisecond)
		require.Eventually(t, func() bool { return liveThreadsCPU(t, p.Pid) < 150*time.Millisecond }, 20*time.Second, time.Millisecond,
			"the threads that burnt have ended: a sum over those that live would miss them")
		cpu, err := p.CPU()
		require.NoError(t, err)
		require.Greater(t, p.before, 100*time.Microsecond, "the copy of ourselves told what it used")
		require.Greater(t, cpu, 200*time.Millisecond)
		require.Less(t, cpu, 400*time.Millisecond)
		rss, err := p.RSS()
		require.NoError(t, err)
		require.Greater(t, rss, int64(1<<20))
		p.Stop(time.Second)
		last, err := p.CPU()
		require.NoError(t, err)
		require.InDelta(t, cpu.Seconds(), last.Seconds(), 0.05)
	})
}

func liveThreadsCPU(t *testing.T, pid int) (sum time.Duration) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	require.NoError(t, err)
	for _, f := range files {
		var ns int64
		if b, err := os.ReadFile(f); err == nil {
			fmt.Sscan(string(b), &ns)
		}
		sum += time.Duration(ns)
	}
	return sum
}

func notAProgram(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(path, []byte{0, 1, 2}, 0o755))
	return path
}

func TestStartAfterDown(t *testing.T) {
	l := mustUp(t, twoHosts("t"))
	require.NoError(t, l.Down())
	_, err := l.Start("a", sh("true"))
	require.ErrorContains(t, err, "lab t is down")
}

// A main that forgets to dispatch must not start copies of itself for ever.
func TestForgottenDispatch(t *testing.T) {
	out, err := self("forgot", "", "").CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(out), "call spawn.Dispatch first")
}

func TestListenLine(t *testing.T) {
	for _, tt := range []struct {
		line string
		want string
	}{
		{"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000", "127.0.0.1:8080"},
		{"   0: 00000000:0050 00000000:0000 0A 00000000:00000000", "0.0.0.0:80"},
		{"   0: 00000000000000000000000000000000:0050 0:0 0A 0", "[::]:80"},
		{"   0: 0000000000000000FFFF00000100007F:0050 0:0 0A 0", "127.0.0.1:80"},
		{"   0: 0100007F:1F90 00000000:0000 01 00000000:00000000", ""},
		{"  sl  local_address rem_address   st tx_queue", ""},
		{"   0: 0100007:1F90 x 0A", ""},
		{"   0: 0100007F 0 0A", ""},
		{"", ""},
	} {
		got, ok := listenLine(tt.line)
		require.Equal(t, tt.want != "", ok, tt.line)
		if ok {
			require.Equal(t, netip.MustParseAddrPort(tt.want), got)
		}
	}
}

func FuzzListenLine(f *testing.F) {
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000")
	f.Fuzz(func(t *testing.T, line string) {
		if got, ok := listenLine(line); ok && !got.IsValid() {
			t.Fatalf("%q gives %v", line, got)
		}
	})
}

// BenchmarkRun is what running a short program in a host costs besides the
// program itself.
func BenchmarkRun(b *testing.B) {
	l, err := Up(b.Context(), twoHosts("b"))
	if err != nil {
		b.Skip(err)
	}
	defer l.Down()
	for b.Loop() {
		if _, err := l.Run(b.Context(), "a", Cmd{Path: "true"}); err != nil {
			b.Fatal(err)
		}
	}
}
