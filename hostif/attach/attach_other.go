//go:build !linux

package attach

import (
	"runtime"

	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

// Open says that interfaces can only be attached to on Linux.
func Open([]PortSpec, Options) (*Set, error) {
	return nil, failure.New(failure.Unsupported, "attach", runtime.GOOS+" has neither AF_XDP nor AF_PACKET nor TAP", "run it on Linux")
}

// UndoHandlers is empty: nothing was ever changed here.
func UndoHandlers() map[string]netns.UndoFunc { return nil }

// Inline is Linux only.
type Inline struct{ *Set }

// OpenInline says that interfaces can only be attached to on Linux.
func OpenInline(string, Options) (*Inline, error) {
	_, err := Open(nil, Options{})
	return nil, err
}

// Divert does nothing.
func (*Inline) Divert() error { return nil }

// Release does nothing.
func (*Inline) Release() error { return nil }

// Gone reports that there is no veth.
func (*Inline) Gone() bool { return true }
