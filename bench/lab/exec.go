package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/internal/spawn"
)

// Exec runs a program in a host of a lab that is up, whoever made it, with the
// host's files and this process's streams, and returns its exit code.
func Exec(name, host string, args []string) (code int, err error) {
	info, err := Inspect(name)
	if err != nil {
		return 0, err
	}
	if info.Spec == nil {
		return 0, failure.New(failure.Usage, "run "+args[0]+" in lab "+name, "its journal is lost", "meshnic lab down "+name)
	}
	s := *info.Spec
	path, err := exec.LookPath(args[0])
	if err != nil {
		return 0, failure.Wrap(failure.Unsupported, err, "run "+args[0], "install it, or give its path")
	}
	run, err := netns.RunDir()
	if err != nil {
		return 0, err
	}
	cfg := spawn.Config{NS: netns.Path(s.ns(host)), Path: path, Args: args, Env: os.Environ()}
	if !s.machine(host) {
		if _, err := s.index(host); err != nil {
			return 0, err
		}
		cfg.HostsFile = filepath.Join(run, name, hostsPrefix+host)
		if s.Fabric == Kubernetes {
			cfg.Resolv = filepath.Join(run, name, resolvPrefix+host)
		}
	}
	starter := spawn.NewStarter()
	defer starter.Close()
	cmd := &exec.Cmd{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	if _, err := starter.Start(cmd, cfg, func(int) error { return nil }); err != nil {
		return 0, err
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("lab: %s in host %s: %w", args[0], host, err)
	}
	return cmd.ProcessState.ExitCode(), nil
}
