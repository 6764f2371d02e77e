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

func (w *worker) live()               {}
func (w *worker) run() error          { return nil }
func (w *worker) post(f func())       { f() }
func (w *worker) drain(time.Duration) {}
func (w *worker) release()            {}
func (w *worker) stats() []mesh.Stat  { return nil }

func (w *worker) adopt(*config, map[int]int) error { return nil }

func listen(addr netip.AddrPort, _ *mesh.CompiledListener, _, _ bool) (int, netip.AddrPort, error) {
	return -1, addr, nil
}
func (w *worker) rotate(map[*tlsContext]*tlsContext)      {}
func (w *worker) fail(bool)                               {}
func (w *worker) drainListeners(bool)                     {}
func (w *worker) hosts() map[*mesh.Host]mesh.HostCounters { return nil }

func closeAll([]map[int]int) {}

func portOwner(netip.AddrPort) (int, string) { return 0, "" }
