package spawn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

// Starter starts programs from one OS thread of its own. A program is killed
// when the thread that started it ends, so the thread has to last as long as
// they do, whatever Go does with its other threads.
type Starter struct {
	calls chan func()
	done  chan struct{}
}

// NewStarter returns a Starter. Close ends it.
func NewStarter() *Starter {
	s := &Starter{calls: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		for call := range s.calls {
			call()
		}
	}()
	return s
}

// Close ends the thread and with it, by SIGKILL, every program that it started
// and that still runs.
func (s *Starter) Close() {
	close(s.calls)
	<-s.done
}

// Start starts cfg's program with cmd's standard streams. It sets everything
// else of cmd. Once the copy exists, and before it becomes the program, record
// is called with its pid; if that fails the copy ends without a trace. Start
// returns when the program runs, with the CPU time that the copy used before:
// the kernel counts it as the program's.
func (s *Starter) Start(cmd *exec.Cmd, cfg Config, record func(pid int) error) (before time.Duration, err error) {
	if err := checkGuard(); err != nil {
		return 0, err
	}
	config, configW, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("spawn: %w", err)
	}
	defer configW.Close()
	status, statusW, err := os.Pipe()
	if err != nil {
		config.Close()
		return 0, fmt.Errorf("spawn: %w", err)
	}
	defer status.Close()
	cmd.Path, cmd.Args = "/proc/self/exe", []string{cfg.Args[0], Verb}
	cmd.Env = append(slices.Clone(cfg.Env), guard+"=1")
	cmd.ExtraFiles = []*os.File{config, statusW}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if cfg.Stays {
		cmd.SysProcAttr.Pdeathsig = 0
	}
	ran := make(chan error)
	s.calls <- func() { ran <- cmd.Start() }
	err = <-ran
	config.Close()
	statusW.Close()
	if err != nil {
		return 0, fmt.Errorf("spawn: start a copy of this program: %w", err)
	}
	abandon := func(err error) (time.Duration, error) {
		configW.Close()
		cmd.Process.Kill()
		cmd.Wait()
		return 0, err
	}
	if err := record(cmd.Process.Pid); err != nil {
		return abandon(err)
	}
	b, err := json.Marshal(cfg)
	if err != nil {
		return abandon(fmt.Errorf("spawn: %w", err))
	}
	if _, err := configW.Write(b); err != nil && !errors.Is(err, unix.EPIPE) {
		return abandon(fmt.Errorf("spawn: %w", err))
	}
	configW.Close()
	why, err := io.ReadAll(status)
	if err != nil {
		return abandon(fmt.Errorf("spawn: %w", err))
	}
	var ns int64
	if n, _ := fmt.Sscanf(string(why), "cpu %d\n", &ns); n == 1 {
		_, text, _ := strings.Cut(string(why), "\n")
		why = []byte(text)
	}
	if len(why) > 0 {
		return abandon(explain(cfg, string(why)))
	}
	return time.Duration(ns), nil
}

func explain(cfg Config, why string) error {
	kind, text, ok := strings.Cut(why, "\n")
	if !ok {
		return fmt.Errorf("spawn: %s: %s", cfg.Path, why)
	}
	e := &failure.Error{Kind: failure.Unexpected, What: "start " + cfg.Path, Why: text}
	switch kind {
	case "cores":
		e.Kind, e.Next = failure.Usage, fmt.Sprintf("choose cores below %d", runtime.NumCPU())
	case "exec":
		e.Kind, e.Next = failure.Unsupported, "ls -l "+cfg.Path
	case "rights":
		e.Kind = failure.Privilege
	}
	return e
}

// become turns this process into the program it is told on configFd.
func become() {
	runtime.LockOSThread()
	// The program gets its three standard streams and no descriptor that
	// whoever started us had left open.
	if err := unix.CloseRange(configFd, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		unix.CloseOnExec(configFd)
		unix.CloseOnExec(statusFd)
	}
	var cfg Config
	in := os.NewFile(configFd, "config")
	if in == nil {
		os.Exit(127)
	}
	b, err := io.ReadAll(in)
	if len(bytes.TrimSpace(b)) == 0 {
		os.Exit(127) // the starter is gone
	}
	if err == nil {
		err = json.Unmarshal(b, &cfg)
	}
	if err != nil {
		fail("other\n%v", err)
	}
	if kind, err := prepare(cfg); err != nil {
		if errors.Is(err, unix.EPERM) && kind != "cores" {
			kind = "rights"
		}
		fail("%s\n%v", kind, err)
	}
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts) == nil {
		unix.Write(statusFd, fmt.Appendf(nil, "cpu %d\n", ts.Nano()))
	}
	err = syscall.Exec(cfg.Path, cfg.Args, cfg.Env)
	fail("exec\n%v", err)
}

// prepare gives the calling thread, the one that will exec, its surroundings.
func prepare(cfg Config) (kind string, err error) {
	if len(cfg.Cores) > 0 {
		var set unix.CPUSet
		for _, c := range cfg.Cores {
			set.Set(c)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return "cores", fmt.Errorf("cores %v: %w", cfg.Cores, err)
		}
	}
	if cfg.Nice != 0 {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, cfg.Nice); err != nil {
			return "nice", fmt.Errorf("nice %d: %w", cfg.Nice, err)
		}
	}
	if cfg.NS != "" {
		fd, err := unix.Open(cfg.NS, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
		}
		if err != nil {
			return "ns", fmt.Errorf("enter %s: %w", cfg.NS, err)
		}
	}
	if cfg.HostsFile != "" || cfg.Resolv != "" {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return "mount", fmt.Errorf("make a mount namespace: %w", err)
		}
		// Slave: what the host unmounts later (the namespaces) goes here too,
		// what is mounted here stays here.
		if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return "mount", fmt.Errorf("make mounts private: %w", err)
		}
		for _, f := range []struct{ from, to string }{{cfg.HostsFile, "/etc/hosts"}, {cfg.Resolv, "/etc/resolv.conf"}} {
			if f.from == "" {
				continue
			}
			if err := unix.Mount(f.from, f.to, "", unix.MS_BIND, ""); err != nil {
				return "mount", fmt.Errorf("put a file in the place of %s: %w", f.to, err)
			}
		}
	}
	if cfg.Dir != "" {
		if err := unix.Chdir(cfg.Dir); err != nil {
			return "dir", fmt.Errorf("%s: %w", cfg.Dir, err)
		}
	}
	if cfg.User != 0 {
		parent := os.Getppid()
		err := toUser(cfg.User)
		if err == nil && !cfg.Stays { // another user's process is not killed with its starter
			err = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
		}
		if err != nil {
			return "user", fmt.Errorf("become user %d: %w", cfg.User, err)
		}
		if os.Getppid() != parent {
			return "starter", errors.New("the starter is gone")
		}
	}
	return "", nil
}

// toUser makes the calling thread, and what it becomes, another user and group,
// without any right but one: to use files that are not its own, as the binary
// and the configuration of whoever started us are.
func toUser(id int) error {
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return err
	}
	for _, set := range []func() error{
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setresgid(id, id, id) },
		func() error { return syscall.Setresuid(id, id, id) },
	} {
		if err := set(); err != nil {
			return err
		}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	const files = 1 << unix.CAP_DAC_OVERRIDE
	sets := [2]unix.CapUserData{{Effective: files, Permitted: files, Inheritable: files}}
	if err := unix.Capset(&hdr, &sets[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_DAC_OVERRIDE, 0, 0)
}
