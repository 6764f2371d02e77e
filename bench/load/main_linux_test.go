package load

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meshnic/meshnic/internal/failure"
)

// childVerb makes the test binary run a verb of Main instead of the tests.
const childVerb = "MESHNIC_LOAD_TEST_VERB"

func TestMain(m *testing.M) {
	if verb := os.Getenv(childVerb); verb != "" {
		os.Exit(Main([]string{verb}, os.Stdin, os.Stdout, os.Stderr))
	}
	runtime.GOMAXPROCS(8) // generators and servers hold one each; see the package comment
	goleak.VerifyTestMain(m)
}

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// process is a verb running as a process of its own.
type process struct {
	cmd    *exec.Cmd
	out    io.ReadCloser
	stderr text
}

// text is a buffer that may be read while the process still writes.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// child prepares a verb as a process of its own.
func child(t testing.TB, verb string, cfg any) *exec.Cmd {
	t.Helper()
	in, raw := cfg.(json.RawMessage)
	if !raw {
		var err error
		in, err = json.Marshal(cfg)
		require.NoError(t, err)
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVerb+"="+verb)
	cmd.Stdin = bytes.NewReader(in)
	return cmd
}

func start(t testing.TB, verb string, cfg any) *process {
	t.Helper()
	p := &process{cmd: child(t, verb, cfg)}
	p.cmd.Stderr = &p.stderr
	var err error
	p.out, err = p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	return p
}

// listening starts a serving verb and returns where it listens.
func listening(t testing.TB, verb string, cfg any) (*process, netip.AddrPort) {
	t.Helper()
	p := start(t, verb, cfg)
	at, err := ReadListening(p.out)
	require.NoError(t, err, p.stderr.String())
	return p, at
}

// end reads the result; a server is told to end first.
func (p *process) end(t testing.TB, into any) {
	t.Helper()
	require.NoError(t, json.NewDecoder(p.out).Decode(into), p.stderr.String())
	require.NoError(t, p.cmd.Wait(), p.stderr.String())
}

func (p *process) terminate(t testing.TB) (res ServeResult) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.end(t, &res)
	return res
}

func TestChildProcesses(t *testing.T) {
	t.Run("run against serve", func(t *testing.T) {
		srv, at := listening(t, "serve", ServeConfig{Listen: loopback})
		run := start(t, "run", Config{Target: at, Connections: 4, MaxRequests: 1000, Check: Check{Body: NullBody()}})
		res, err := DecodeResult(run.out)
		require.NoError(t, err, run.stderr.String())
		require.NoError(t, run.cmd.Wait())
		require.EqualValues(t, 1000, res.N)
		require.EqualValues(t, 1000, res.Hist.N())
		require.Zero(t, res.Errors.Total())
		require.EqualValues(t, 1000, srv.terminate(t).Requests)
	})
	t.Run("pingpong against echo", func(t *testing.T) {
		srv, at := listening(t, "echo", EchoConfig{Listen: loopback})
		run := start(t, "pingpong", PingPongConfig{Target: at, Rounds: 500, Warmup: 10, Size: 100})
		var res Result
		run.end(t, &res)
		require.EqualValues(t, 500, res.N)
		require.EqualValues(t, 10, res.Warmup)
		require.Zero(t, res.Errors.Total(), res.Examples)
		echo := srv.terminate(t)
		require.EqualValues(t, 51000, echo.Bytes)
		require.EqualValues(t, 1, echo.Connections)
	})
	t.Run("bulk against sink", func(t *testing.T) {
		srv, at := listening(t, "sink", SinkConfig{Listen: loopback})
		run := start(t, "bulk", BulkConfig{Target: at, Duration: 200 * time.Millisecond, Streams: 2})
		var res BulkResult
		run.end(t, &res)
		require.Positive(t, res.Bytes)
		require.InEpsilon(t, 8*float64(res.Bytes)/res.Elapsed, res.BitsPerSec, 1e-9)
		sink := srv.terminate(t)
		require.Equal(t, res.Bytes, sink.Bytes)
		require.EqualValues(t, 2, sink.Requests)
	})
	t.Run("SIGTERM ends a run with what it has", func(t *testing.T) {
		_, at := listening(t, "serve", ServeConfig{Listen: loopback})
		run := start(t, "run", Config{Target: at, Duration: time.Minute, Placement: Placement{CPUs: []int{0}}})
		time.Sleep(300 * time.Millisecond)
		require.NoError(t, run.cmd.Process.Signal(syscall.SIGTERM))
		var res Result
		begin := time.Now()
		run.end(t, &res)
		require.Less(t, time.Since(begin), 30*time.Second)
		require.Positive(t, res.N)
		require.Less(t, res.Elapsed, 30.0)
	})
	for name, tt := range map[string]struct {
		verb, in string
		code     failure.Kind
	}{
		"unknown verb":       {"dance", `{}`, failure.Usage},
		"malformed":          {"run", `{"target":`, failure.BadFile},
		"unknown field":      {"run", `{"target":"127.0.0.1:1","speed":3}`, failure.BadFile},
		"nothing to run for": {"run", `{"target":"127.0.0.1:1"}`, failure.Usage},
		"no such processor":  {"run", `{"target":"127.0.0.1:1","duration_ns":1,"cpus":[9999]}`, failure.Usage},
		"foreign address":    {"serve", `{"listen":"192.0.2.1:0"}`, failure.Usage},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, tt.verb, json.RawMessage(tt.in))
			_ = p.cmd.Wait()
			code, stderr := p.cmd.ProcessState.ExitCode(), &p.stderr
			require.Equal(t, int(tt.code), code, stderr.String())
			require.NotEmpty(t, stderr.String())
		})
	}
}

// A killed bench leaves no servers behind.
func TestEndsWithItsParent(t *testing.T) {
	cmd := child(t, "serve", ServeConfig{Listen: loopback})
	cmd.Args = []string{"sh", "-c", `"$0" <&3 & wait`, cmd.Path}
	cmd.Path = "/bin/sh"
	in, err := io.ReadAll(cmd.Stdin)
	require.NoError(t, err)
	r, w, err := os.Pipe() // sh gives a background job /dev/null for stdin
	require.NoError(t, err)
	_, err = w.Write(in)
	require.NoError(t, err)
	w.Close()
	cmd.Stdin, cmd.ExtraFiles = nil, []*os.File{r}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	r.Close()
	_, err = ReadListening(out)
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())

	ended := make(chan ServeResult, 1)
	go func() {
		var res ServeResult
		_ = json.NewDecoder(out).Decode(&res)
		ended <- res
	}()
	select {
	case res := <-ended:
		require.Equal(t, "serve", res.Mode, "it ended in order")
	case <-time.After(30 * time.Second):
		t.Fatal("the server outlives its parent")
	}
	_ = cmd.Wait()
}
