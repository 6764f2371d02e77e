package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// memoryLimit is where the collector, off while measuring, comes back.
const memoryLimit = 512 << 20

// Main runs one verb of this package as a process of its own: run, serve,
// pingpong, echo, bulk, sink, curl or idle. The verb's configuration is one JSON
// document on stdin, its result one JSON document on stdout; the servers write
// a Listening line first, idle an IdleLine. SIGTERM and SIGINT end it in order, with what it has
// measured so far. It also ends when its parent does. Main returns the
// process's exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	go endWithParent(ctx, os.Getppid(), cancel)
	debug.SetMemoryLimit(memoryLimit)
	debug.SetGCPercent(-1)
	if err := dispatch(ctx, args, stdin, stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return int(failure.KindOf(err))
	}
	return 0
}

// endWithParent cancels when the parent process is gone, so that a killed bench
// leaves no servers.
func endWithParent(ctx context.Context, parent int, cancel func()) {
	for t := time.NewTicker(time.Second); ; {
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
			if os.Getppid() != parent {
				cancel()
			}
		}
	}
}

// Listening is the first line a server writes to stdout.
type Listening struct {
	Schema string         `json:"schema"`
	Addr   netip.AddrPort `json:"listening"`
}

// ReadListening reads the first line of a server's output, byte by byte, so
// that the result that follows can be read from r afterwards.
func ReadListening(r io.Reader) (netip.AddrPort, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(r, b); err != nil {
			return netip.AddrPort{}, fmt.Errorf("load: the server ended before it listened: %w", err)
		}
		if b[0] == '\n' {
			break
		}
		if line = append(line, b[0]); len(line) > 4096 {
			return netip.AddrPort{}, errors.New("load: the server's first line is too long")
		}
	}
	var l Listening
	if err := json.Unmarshal(line, &l); err != nil || l.Schema != Schema || !l.Addr.IsValid() {
		return netip.AddrPort{}, fmt.Errorf("load: the server's first line is %q", clip(line))
	}
	return l.Addr, nil
}

func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	verbs := map[string]func() (any, error){
		"run": func() (any, error) { return with(stdin, func(c Config) (*Result, error) { return Run(ctx, c) }) },
		"serve": func() (any, error) {
			return with(stdin, func(c ServeConfig) (*ServeResult, error) {
				c.Ready = announce(stdout)
				return Serve(ctx, c)
			})
		},
		"pingpong": func() (any, error) {
			return with(stdin, func(c PingPongConfig) (*Result, error) { return PingPong(ctx, c) })
		},
		"echo": func() (any, error) {
			return with(stdin, func(c EchoConfig) (*ServeResult, error) {
				c.Ready = announce(stdout)
				return EchoServe(ctx, c)
			})
		},
		"bulk": func() (any, error) {
			return with(stdin, func(c BulkConfig) (*BulkResult, error) { return Bulk(ctx, c) })
		},
		"sink": func() (any, error) {
			return with(stdin, func(c SinkConfig) (*ServeResult, error) {
				c.Ready = announce(stdout)
				return Sink(ctx, c)
			})
		},
		"curl": func() (any, error) {
			return with(stdin, func(c CurlConfig) (*Result, error) { return Curl(ctx, c) })
		},
		"idle": func() (any, error) {
			return with(stdin, func(c IdleConfig) (*IdleResult, error) {
				c.Ready = announceIdle(stdout, c.Connections)
				return Idle(ctx, c)
			})
		},
	}
	if len(args) != 1 || verbs[args[0]] == nil {
		return failure.Usagef("load: verb %q, want one of run, serve, pingpong, echo, bulk, sink, curl, idle", strings.Join(args, " "))
	}
	switch args[0] {
	case "run", "serve", "pingpong": // see the package comment
		runtime.GOMAXPROCS(1)
	case "echo": // as many ping-pongs as will be run at once, and the acceptor
		runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
	}
	res, err := verbs[args[0]]()
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(res); err != nil {
		return fmt.Errorf("load: write result: %w", err)
	}
	return nil
}

// placed is a configuration that says where its process is to run.
type placed interface{ cpus() []int }

func (p Placement) cpus() []int { return p.CPUs }

// with reads a configuration, places the process and calls f.
func with[C placed, R any](stdin io.Reader, f func(C) (R, error)) (any, error) {
	var cfg C
	b, err := io.ReadAll(io.LimitReader(stdin, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("load: read configuration: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&cfg); err != nil {
		return nil, failure.Wrap(failure.BadFile, err, "load: configuration on standard input", "")
	}
	if err := pin(cfg.cpus()); err != nil {
		return nil, err
	}
	return f(cfg)
}

func announce(w io.Writer) func(netip.AddrPort) {
	return func(at netip.AddrPort) {
		// A parent that is gone is noticed by endWithParent.
		_ = json.NewEncoder(w).Encode(Listening{Schema: Schema, Addr: at})
	}
}
