//go:build linux

package xdp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The programs that talk through the ports are processes of their own, so that
// what is measured is what a user gets: this test binary, started again with
// peerEnv set. Descriptor 3 is their network namespace.
const peerEnv = "MESHNIC_XDP_TEST_PEER"

// peerJob is what a peer is told to do.
type peerJob struct {
	Role   string        // "echo", "ping", "sink", "source"
	Addr   string        // to listen on or connect to
	CPU    int           // to run on, -1 for any
	Rounds int           // ping: how many, after a tenth for warm-up
	For    time.Duration // source: how long, or
	Bytes  int           // source: how much
}

// peerResult is what a peer prints at its end.
type peerResult struct {
	P50, P90, P99 time.Duration // ping: of round trips
	Bytes         int           // sink
	Elapsed       time.Duration
}

func TestMain(m *testing.M) {
	if s := os.Getenv(peerEnv); s != "" {
		if err := peerMain(s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startPeer starts a peer and returns a function that waits for its result. A
// peer that listens does so when startPeer returns.
func startPeer(t testing.TB, ns int, job peerJob) func() peerResult {
	t.Helper()
	b, err := json.Marshal(job)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(self)
	c.Env = append(os.Environ(), peerEnv+"="+string(b))
	c.Stderr = os.Stderr
	dup, err := unix.FcntlInt(uintptr(ns), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	f := os.NewFile(uintptr(dup), "netns")
	defer f.Close()
	c.ExtraFiles = []*os.File{f}
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill(); _, _ = c.Process.Wait() })
	r := bufio.NewReader(out)
	if _, err := r.ReadString('\n'); err != nil { // "ready"
		t.Fatalf("peer %+v did not start: %v", job, err)
	}
	return func() (res peerResult) {
		t.Helper()
		patience := time.AfterFunc(time.Minute+job.For, func() { _ = c.Process.Kill() })
		defer patience.Stop()
		require.NoError(t, json.NewDecoder(r).Decode(&res), "peer %+v", job)
		return res
	}
}

func peerMain(s string) error {
	var job peerJob
	if err := json.Unmarshal([]byte(s), &job); err != nil {
		return err
	}
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if err := unix.Setns(3, unix.CLONE_NEWNET); err != nil {
		return err
	}
	if err := pin(job.CPU); err != nil {
		return err
	}
	addr, err := netip.ParseAddrPort(job.Addr)
	if err != nil {
		return err
	}
	sa := &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if job.Role == "echo" || job.Role == "sink" {
		if err := errors.Join(unix.Bind(fd, sa), unix.Listen(fd, 1)); err != nil {
			return err
		}
		fmt.Println("ready")
		if fd, _, err = unix.Accept(fd); err != nil {
			return err
		}
	} else {
		fmt.Println("ready")
		if err := retry(func() error { return unix.Connect(fd, sa) }); err != nil {
			return err
		}
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	res, err := job.run(fd)
	if err != nil {
		return fmt.Errorf("%s: %w", job.Role, err)
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

func (job peerJob) run(fd int) (res peerResult, err error) {
	b := make([]byte, 128<<10)
	start := time.Now()
	defer func() { res.Elapsed = time.Since(start) }()
	switch job.Role {
	case "echo":
		for {
			n, err := rawRead(fd, b[:1])
			if n == 0 || err != nil {
				return res, err
			}
			if _, err := rawWrite(fd, b[:1]); err != nil {
				return res, err
			}
		}
	case "ping":
		var all []time.Duration
		for i := range job.Rounds {
			t := time.Now()
			if _, err := rawWrite(fd, b[:1]); err != nil {
				return res, err
			}
			if n, err := rawRead(fd, b[:1]); err != nil || n == 0 {
				return res, errors.Join(io.ErrUnexpectedEOF, err)
			}
			if i >= job.Rounds/10 {
				all = append(all, time.Since(t))
			}
		}
		slices.Sort(all)
		at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))] }
		return peerResult{P50: at(.5), P90: at(.9), P99: at(.99)}, nil
	case "sink":
		for {
			n, err := rawRead(fd, b)
			if n == 0 || err != nil {
				return res, err
			}
			res.Bytes += n
		}
	case "source":
		for sent := 0; sent < job.Bytes || time.Since(start) < job.For; {
			n, err := rawWrite(fd, b)
			if err != nil {
				return res, err
			}
			sent += n
		}
		return res, unix.Close(fd)
	}
	return res, errors.New("no such role")
}

// rawRead and rawWrite block in a raw system call, as a C program does: the Go
// scheduler's part in a blocking call would be measured with it. The runtime's
// signals end them early.
func rawRead(fd int, b []byte) (int, error) { return rawIO(unix.SYS_READ, fd, b) }

func rawWrite(fd int, b []byte) (int, error) { return rawIO(unix.SYS_WRITE, fd, b) }

func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EALREADY) {
			if errors.Is(err, unix.EISCONN) {
				err = nil
			}
			return err
		}
	}
}

// pin keeps the calling thread on one processor; -1 on any.
func pin(cpu int) error {
	if cpu < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}
