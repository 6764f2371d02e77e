// Command meshnic is a SmartNIC in software: flags, wiring and exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/internal/spawn"
)

// version is set by the linker.
var version = "unknown"

func main() {
	spawn.Dispatch() // the verbs that this program uses on itself
	if len(os.Args) > 1 && os.Args[1] == "__load" {
		os.Exit(load.Main(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, interrupted := interruptible()
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	if err != nil {
		fmt.Fprintf(stderr, "meshnic: %v\n", err)
		if failure.KindOf(err) == failure.Usage && !strings.Contains(err.Error(), "\n  next: ") {
			fmt.Fprintf(stderr, "  next: %s --help\n", cmd.CommandPath())
		}
	}
	if sig := interrupted(); sig != 0 {
		return 128 + int(sig)
	}
	return exitCode(err)
}

// exitCode is the failure's kind; an error cobra made itself is a usage error.
func exitCode(err error) int {
	var f *failure.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &f):
		return int(f.Kind)
	default:
		return int(failure.Unexpected)
	}
}

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP ends, and a
// function that tells which one came. A second signal ends the process at once. SIGHUP,
// which comes when the terminal is closed, ends nothing under nohup, and where it means
// that a file is to be read again.
func interruptible() (context.Context, func() syscall.Signal) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ch := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(ch, syscall.SIGHUP)
	}
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		sig := (<-ch).(syscall.Signal)
		for sig == syscall.SIGHUP && reloads.Load() {
			sig = (<-ch).(syscall.Signal)
		}
		signal.Stop(ch)
		cancel(signalError(sig))
	}()
	return ctx, func() syscall.Signal {
		var sig signalError
		if errors.As(context.Cause(ctx), &sig) {
			return syscall.Signal(sig)
		}
		return 0
	}
}

// outliveReader has writing to a pipe that nobody reads any more fail, which ends the
// process otherwise: it is for verbs that have something to put back.
func outliveReader() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

type signalError syscall.Signal

func (s signalError) Error() string { return "interrupted by " + syscall.Signal(s).String() }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "meshnic",
		Short: "A SmartNIC in software: what a sidecar costs on the host, and what it would cost on the NIC",
		Long: `meshnic is a SmartNIC in software. Its cycle-modelled datapath attaches to real veth
pairs over AF_XDP, TAP or AF_PACKET and carries the traffic of real programs; beside it
run a host sidecar and the real Envoy, so that one run compares them.

Start with:  meshnic doctor            what this host can do
             meshnic bench --quick     every experiment in under a minute
             meshnic attach --help     the NIC between two interfaces of yours

Exit codes: 0 done; 1 unexpected; 2 usage; 3 bad file; 4 missing privilege; 5 host cannot
do it; 6 conflict; 7 threshold not met; 8 result not trustworthy; 130/143 interrupted.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &failure.Error{Kind: failure.Usage, What: err.Error(), Next: cmd.CommandPath() + " --help"}
	})
	root.AddCommand(
		newBench(), newReport(), newCompare(), newBreakEven(),
		newAttach(), newLab(), newClean(), newDoctor(),
		newSim(), newSweep(), newReplay(),
		newSidecar(), newCheck(), newExplain(), newBookinfo(), newDNS(),
	)
	for _, c := range root.Commands() {
		wrapArgs(c)
	}
	root.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		next := "meshnic --help"
		if near := root.SuggestionsFor(args[0]); len(near) > 0 {
			next = "meshnic " + near[0]
		}
		return &failure.Error{Kind: failure.Usage, What: fmt.Sprintf("there is no verb %q", args[0]), Next: next}
	}
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.SuggestionsMinimumDistance = 2
	return root
}

// wrapArgs makes a wrong number of arguments, or an unknown verb, a usage error.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &failure.Error{Kind: failure.Usage, What: err.Error(), Why: "usage is " + c.UseLine()}
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		wrapArgs(c)
	}
}
