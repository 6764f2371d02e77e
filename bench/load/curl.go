package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// CurlConfig describes runs of the real curl, one process and one connection a
// request, one after the other.
type CurlConfig struct {
	Command []string      `json:"command,omitempty"` // how to start curl; default ["curl"]
	URL     string        `json:"url"`
	N       int           `json:"n"`                    // requests measured
	Warmup  int           `json:"warmup,omitempty"`     // requests before them, not counted
	Timeout time.Duration `json:"timeout_ns,omitempty"` // a request; default 10 s
	Status  int           `json:"status,omitempty"`     // expected; default 200
	BodyLen *int64        `json:"body_len,omitempty"`   // expected, bytes
	Placement
}

func (c CurlConfig) withDefaults() (CurlConfig, error) {
	if len(c.Command) == 0 {
		c.Command = []string{"curl"}
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Status == 0 {
		c.Status = 200
	}
	switch {
	case !strings.HasPrefix(c.URL, "http://") && !strings.HasPrefix(c.URL, "https://"):
		return c, failure.Usagef("load: URL %q does not begin with http:// or https://", c.URL)
	case c.N < 1 || c.Warmup < 0:
		return c, failure.Usagef("load: n is %d and warm-up %d, want at least 1 and 0", c.N, c.Warmup)
	case c.Timeout < time.Millisecond || c.Timeout > maxTimeout:
		return c, failure.Usagef("load: timeout is %v, want 1 ms to %v", c.Timeout, maxTimeout)
	}
	return c, nil
}

// Curl runs curl N times and returns the distribution of curl's own time_total:
// from its start of the transfer to the last byte, the process's start and end
// not included. Its resolution is 1 us.
func Curl(ctx context.Context, cfg CurlConfig) (*Result, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	path, err := exec.LookPath(cfg.Command[0])
	if err != nil {
		return nil, failure.Wrap(failure.Unsupported, err, "load: run "+cfg.Command[0], "install curl")
	}
	r := &Result{Mode: "curl", Connections: 1, Hist: NewHist()}
	// -q: no .curlrc; it must come first
	args := append(cfg.Command[1:len(cfg.Command):len(cfg.Command)], "-q", "-s", "-S", "-o", os.DevNull, "--noproxy", "*",
		"--max-time", strconv.FormatFloat(cfg.Timeout.Seconds(), 'f', 3, 64),
		"-w", `%{http_code} %{time_total} %{size_download} %{num_connects}\n`, cfg.URL)
	var begin time.Time
	var cpu time.Duration
	for i := range cfg.Warmup + cfg.N {
		if i == cfg.Warmup {
			begin = time.Now()
		}
		t, used, err := cfg.once(ctx, path, args, r)
		if ctx.Err() != nil {
			r.Unfinished++
			break
		}
		var failed *curlError
		switch {
		case err != nil && !errors.As(err, &failed):
			return nil, failure.Wrap(failure.Unexpected, err, "load: run "+cfg.Command[0], "")
		case i < cfg.Warmup:
			r.Warmup++
			if failed != nil {
				r.WarmupBad++
			}
		case failed != nil:
			*r.Errors.at(failed.kind)++
			r.example(failed.kind, failed.text)
		default:
			r.Hist.Record(int64(t))
			cpu += used
		}
	}
	var window time.Duration
	if !begin.IsZero() {
		window = time.Since(begin)
	}
	r.finish(window, r.Hist.N())
	if r.N > 0 {
		r.Generator.CPU = float64(cpu.Nanoseconds()) / 1e3 / float64(r.N)
	}
	return r, nil
}

// curlError is a request curl did not get the right answer to.
type curlError struct {
	kind kind
	text string
}

func (e *curlError) Error() string { return e.kind.String() + ": " + e.text }

// once runs curl once.
func (c CurlConfig) once(ctx context.Context, path string, args []string, r *Result) (total, cpu time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout+5*time.Second) // curl's own limit comes first
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return 0, 0, err
	}
	cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err != nil {
		return 0, cpu, &curlError{curlKind(cmd.ProcessState.ExitCode()), strings.TrimSpace(stderr.String())}
	}
	var status int
	var seconds float64
	var size int64
	var connects uint64
	if _, err := fmt.Sscan(out.String(), &status, &seconds, &size, &connects); err != nil {
		return 0, cpu, fmt.Errorf("output %q: %w", clip(out.Bytes()), err)
	}
	r.Connects += connects
	r.Bytes += uint64(size)
	switch {
	case status != c.Status:
		return 0, cpu, &curlError{errStatus, "status " + strconv.Itoa(status)}
	case c.BodyLen != nil && size != *c.BodyLen:
		return 0, cpu, &curlError{errWrong, fmt.Sprintf("body has %d bytes, want %d", size, *c.BodyLen)}
	}
	return time.Duration(seconds * 1e9), cpu, nil
}

// curlKind maps curl's exit codes (curl(1), EXIT CODES) to kinds of errors.
func curlKind(code int) kind {
	switch code {
	case 5, 6, 7, 35: // proxy or host not resolved, connect failed, TLS handshake
		return errConnect
	case 28, -1: // timed out; killed
		return errTimeout
	case 52: // nothing was returned
		return errMissing
	case 18, 55, 56: // partial file, failure in sending or receiving
		return errReset
	}
	return errParse
}
