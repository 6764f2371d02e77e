//go:build !linux

package load

import (
	"context"
	"net/netip"

	"github.com/meshnic/meshnic/internal/failure"
)

func unsupported(what string) error {
	return failure.New(failure.Unsupported, "load: "+what, "it is built on epoll and raw system calls", "run it on Linux")
}

// Run needs Linux.
func Run(context.Context, Config) (*Result, error) { return nil, unsupported("run") }

// Serve needs Linux.
func Serve(context.Context, ServeConfig) (*ServeResult, error) { return nil, unsupported("serve") }

// PingPong needs Linux.
func PingPong(context.Context, PingPongConfig) (*Result, error) { return nil, unsupported("pingpong") }

// EchoServe needs Linux.
func EchoServe(context.Context, EchoConfig) (*ServeResult, error) { return nil, unsupported("echo") }

func pin(cpus []int) error {
	if len(cpus) > 0 {
		return unsupported("choose processors")
	}
	return nil
}

func sinkError(err error, at netip.AddrPort) error {
	return failure.Wrap(failure.Unexpected, err, "load: listen on "+at.String(), "")
}
