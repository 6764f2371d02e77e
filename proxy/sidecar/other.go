//go:build !linux

package sidecar

import (
	"net/netip"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// worker needs epoll.
type worker struct{}

func newWorker(*Server, int) (*worker, error) {
	return nil, failure.New(failure.Unsupported, "sidecar: event loop", "it is built on epoll", "run it on Linux")
}

func (w *worker) listen(int, netip.AddrPort) (netip.AddrPort, error) { return netip.AddrPort{}, nil }
func (w *worker) live()                                              {}
func (w *worker) run() error                                         { return nil }
func (w *worker) post(f func())                                      { f() }
func (w *worker) drain(time.Duration)                                {}
func (w *worker) release()                                           {}
func (w *worker) stats() []mesh.Stat                                 { return nil }

func portOwner(netip.AddrPort) (int, string) { return 0, "" }
