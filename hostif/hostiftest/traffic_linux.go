package hostiftest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
)

// Forward passes frames between a and b on a thread of its own, as the smallest
// NIC does, until the test ends or stop is called. finish turns a superframe
// into frames for a link without offloads (segment.Finish); it may be nil where
// that cannot happen.
func Forward(t testing.TB, a, b hostif.Link, finish func(*hostif.Frame, int, func(*hostif.Frame)) error) (stop func()) {
	var quit atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		w := hostif.NewWaiter([]hostif.Link{a, b})
		in := make([]*hostif.Frame, 64)
		for !quit.Load() {
			moved := 0
			for _, d := range [][2]hostif.Link{{a, b}, {b, a}} {
				n, err := d[0].Recv(in)
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("forward: %v", err)
					}
					return
				}
				moved += n
				if err := pass(d[1], in[:n], finish); err != nil {
					t.Errorf("forward: %v", err)
					return
				}
			}
			if moved == 0 {
				if _, err := w.Wait(50 * time.Millisecond); err != nil {
					t.Errorf("forward: %v", err)
					return
				}
			}
		}
	})
	stop = sync.OnceFunc(func() { quit.Store(true); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

func pass(to hostif.Link, frames []*hostif.Frame, finish func(*hostif.Frame, int, func(*hostif.Frame)) error) error {
	if !to.Offloads() && finish != nil {
		var done []*hostif.Frame
		for _, f := range frames {
			if err := finish(f, to.MTU(), func(s *hostif.Frame) { done = append(done, s) }); err != nil {
				return err
			}
		}
		frames = done
	}
	_, err := to.Send(frames)
	return err
}

// TCP moves size random bytes in each direction over one connection from a
// socket in the namespace client to one at addr in the namespace server, and
// fails if they change on the way.
func TCP(t testing.TB, client, server int, addr string, size int) {
	t.Helper()
	var ln net.Listener
	var err error
	In(t, server, func() { ln, err = net.Listen("tcp", addr) })
	require.NoError(t, err)
	defer ln.Close()
	echoed := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.Copy(c, c)
			_ = c.(*net.TCPConn).CloseWrite()
		}
		echoed <- err
	}()
	var c net.Conn
	In(t, client, func() { c, err = net.DialTimeout("tcp", ln.Addr().String(), 10*time.Second) })
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(60*time.Second)))
	data := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(data)
	go func() {
		_, _ = c.Write(data)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	sum := sha256.New()
	n, err := io.Copy(sum, c)
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	want := sha256.Sum256(data)
	require.True(t, bytes.Equal(want[:], sum.Sum(nil)), "the bytes changed on the way")
	require.NoError(t, <-echoed)
}

// Snmp returns a counter of the namespace's /proc/net/snmp, such as Tcp and
// InCsumErrors.
func Snmp(t testing.TB, ns int, proto, name string) (n int) {
	t.Helper()
	var b []byte
	var err error
	In(t, ns, func() { b, err = os.ReadFile("/proc/thread-self/net/snmp") })
	require.NoError(t, err)
	var names []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); f[0] != proto+":" {
			continue
		} else if names == nil {
			names = f
		} else {
			for i := range f {
				if names[i] == name {
					_, err := fmt.Sscan(f[i], &n)
					require.NoError(t, err)
					return n
				}
			}
		}
	}
	t.Fatalf("no %s %s in /proc/net/snmp", proto, name)
	return 0
}

// Collapsed is above the Gbit/s of a TCP that loses so much that it waits for its
// timer (200 ms with Linux) with each window of ten segments, and far below those of
// a slow machine that forwards.
const Collapsed = 0.001

// Iperf runs iperf3 for the given seconds from the namespace client to addr in
// the namespace server and returns Gbit/s as the receiver saw them. It skips the
// test where iperf3 is not installed.
func Iperf(t testing.TB, client, server int, addr string, seconds int, args ...string) float64 {
	t.Helper()
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip("iperf3 is not installed")
	}
	start := func(ns int, args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.Command("iperf3", args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		var err error
		In(t, ns, func() { err = cmd.Start() })
		require.NoError(t, err)
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd, &out
	}
	_, said := start(server, "-s", "-1", "-B", addr, "--forceflush")
	for range 100 {
		time.Sleep(20 * time.Millisecond)
		var err error
		In(t, server, func() {
			var b []byte
			if b, err = os.ReadFile("/proc/thread-self/net/tcp"); err == nil && !strings.Contains(string(b), ":1451 ") {
				err = errors.New("not listening yet") // 0x1451 is 5201
			}
		})
		if err == nil {
			break
		}
	}
	cli, out := start(client, append([]string{"-c", addr, "-t", fmt.Sprint(seconds), "-J"}, args...)...)
	if err := cli.Wait(); err != nil {
		t.Fatalf("iperf3: %v\n%s\n%s", err, out, said)
	}
	var doc struct {
		End struct {
			SumReceived struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc), out.String())
	return doc.End.SumReceived.BitsPerSecond / 1e9
}
