package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/internal/spawn"
)

// Cmd is a program to run in a host.
type Cmd struct {
	Name  string   // for messages; empty: the program's file name
	Path  string   // with a slash, or looked up in PATH
	Args  []string // without the program's name
	Env   []string // KEY=value; nil: this process's
	Dir   string   // empty: this process's
	Cores []int    // where it may run; empty: everywhere
	Nice  int
	User  int    // and group, with no right but that to use files of others; 0: this process's
	Stdin []byte // nil: nothing
	// Stdout and Stderr are files that output is appended to. Empty: stdout is
	// thrown away, of stderr the end is kept for error messages.
	Stdout, Stderr string

	stays bool // lives on when this process ends, until the lab is taken down
}

// Process is a program running in a host. It is killed when this process dies.
type Process struct {
	Name string
	Host string
	Pid  int

	cmd    *exec.Cmd
	tail   stderrTail
	before time.Duration // CPU time of the copy of ourselves that became the program
	done   chan struct{}
	err    error // of Wait; set before done is closed
	closer []io.Closer
}

// Start starts a program in a host, or in a machine beside them (SwitchHost),
// and returns when it runs.
func (l *Lab) Start(host string, c Cmd) (*Process, error) { return l.start(host, c, nil) }

// start is Start with a place for standard output.
func (l *Lab) start(host string, c Cmd, stdout io.Writer) (_ *Process, err error) {
	if !l.spec.machine(host) {
		if _, err := l.spec.index(host); err != nil {
			return nil, err
		}
	}
	path, err := exec.LookPath(c.Path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, failure.Wrap(failure.Unsupported, err, "start "+c.Path, "install it, or give its path")
	}
	p := &Process{Name: c.Name, Host: host, cmd: &exec.Cmd{}, done: make(chan struct{})}
	if p.Name == "" {
		p.Name = filepath.Base(path)
	}
	defer func() {
		if err != nil {
			p.closeFiles()
		}
	}()
	if err := p.output(c, stdout); err != nil {
		return nil, err
	}
	cfg := spawn.Config{NS: l.Namespace(host), Cores: c.Cores, Nice: c.Nice, Dir: c.Dir,
		Path: path, Args: append([]string{c.Path}, c.Args...), Env: c.Env}
	if cfg.Env == nil {
		cfg.Env = os.Environ()
	}
	cfg.User, cfg.Stays = c.User, c.stays
	if !l.spec.machine(host) {
		cfg.HostsFile = l.hostsPath(host)
		if l.spec.Fabric == Kubernetes {
			cfg.Resolv = filepath.Join(l.journal.Dir(), resolvPrefix+host)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, fmt.Errorf("lab: start %s: lab %s is down", p.Name, l.spec.Name)
	}
	p.before, err = l.starter.Start(p.cmd, cfg, func(pid int) error {
		start, err := netns.StartTime(pid)
		if err != nil {
			return err
		}
		return l.journal.Step(netns.Entry{Kind: netns.KindProcess, Name: p.Name, NS: l.spec.ns(host), Pid: pid, Start: start,
			Text: "ip netns exec " + l.spec.ns(host) + " " + strings.Join(cfg.Args, " ")}, func() error { return nil })
	})
	if err != nil {
		return nil, err
	}
	p.Pid = p.cmd.Process.Pid
	if !c.stays {
		l.procs = append(slices.DeleteFunc(l.procs, (*Process).exited), p)
	}
	go p.wait()
	return p, nil
}

// finalCPU is the CPU time of a program that has ended.
func (p *Process) finalCPU() time.Duration {
	return max(0, p.cmd.ProcessState.UserTime()+p.cmd.ProcessState.SystemTime()-p.before)
}

// output prepares the standard streams.
func (p *Process) output(c Cmd, stdout io.Writer) error {
	open := func(path string) (*os.File, error) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, failure.Wrap(failure.Usage, err, "open output of "+p.Name, "")
		}
		p.closer = append(p.closer, f)
		return f, nil
	}
	p.cmd.WaitDelay = time.Second // what outlives the program must not hold its pipes
	if c.Stdin != nil {
		p.cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	p.cmd.Stdout = stdout
	if c.Stdout != "" {
		f, err := open(c.Stdout)
		if err != nil {
			return err
		}
		p.cmd.Stdout = f
	}
	p.cmd.Stderr = &p.tail
	if c.Stderr != "" {
		f, err := open(c.Stderr)
		if err != nil {
			return err
		}
		if fi, err := f.Stat(); err == nil {
			p.tail.from = fi.Size()
		}
		p.tail.file = c.Stderr
		p.cmd.Stderr = f
	}
	return nil
}

func (p *Process) closeFiles() {
	for _, c := range p.closer {
		c.Close()
	}
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		p.err = err
	}
	p.closeFiles()
	close(p.done)
}

func (p *Process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the program to end. The error says how, and what it wrote to
// stderr last, unless it ended with exit code 0.
func (p *Process) Wait() error {
	<-p.done
	return p.exitError()
}

func (p *Process) exitError() error {
	if p.err == nil {
		return nil
	}
	return &failure.Error{Kind: failure.Unexpected, What: p.Name + " in host " + p.Host, Err: p.err, Why: p.Tail()}
}

// Tail returns the end of what the program wrote to stderr.
func (p *Process) Tail() string { return p.tail.String() }

// Stop asks the program and those it started to end, SIGTERM, and kills them
// after grace. It returns when the program is gone.
func (p *Process) Stop(grace time.Duration) {
	if p.exited() {
		return
	}
	p.signal(false)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.done:
		return
	case <-t.C:
	}
	p.signal(true)
	<-p.done
}

// Result is what a program left that has run to its end.
type Result struct {
	Stdout  []byte
	Stderr  string        // its end
	Code    int           // exit code; -1 if a signal ended it
	Elapsed time.Duration // from when it ran to when it was gone, wall clock
	CPU     time.Duration // user and system time, children it waited for included
}

// Run runs a program in a host to its end, or kills it when ctx ends. Another
// exit code than 0 is an error; the Result is valid nevertheless.
func (l *Lab) Run(ctx context.Context, host string, c Cmd) (*Result, error) {
	var out bytes.Buffer
	p, err := l.start(host, c, &out)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.signal(true)
		<-p.done
	}
	r := &Result{Stdout: out.Bytes(), Stderr: p.Tail(), Code: p.cmd.ProcessState.ExitCode(), Elapsed: time.Since(began),
		CPU: p.finalCPU()}
	if err := ctx.Err(); err != nil && p.err != nil {
		return r, fmt.Errorf("lab: %s in host %s: %w", p.Name, host, err)
	}
	return r, p.exitError()
}

// tailBytes is how much of stderr is kept for messages.
const tailBytes = 4096

// stderrTail keeps the end of what is written, in memory or in a file.
type stderrTail struct {
	file string
	from int64 // where this program's output begins in file

	mu  sync.Mutex
	buf []byte
}

// Write keeps the end of b.
func (t *stderrTail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if len(t.buf) > 2*tailBytes {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailBytes:]...)
	}
	return len(b), nil
}

// String returns at most tailBytes of the end.
func (t *stderrTail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buf
	if t.file != "" {
		b = readTail(t.file, t.from)
	}
	return strings.TrimSpace(string(b[max(0, len(b)-tailBytes):]))
}

func readTail(path string, from int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil
	}
	from = max(from, fi.Size()-tailBytes)
	b := make([]byte, max(0, fi.Size()-from))
	n, _ := f.ReadAt(b, from)
	return b[:n]
}
