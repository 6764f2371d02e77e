//go:build !linux

package tap

import (
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

// Link is an open TAP interface; there is none on this system.
type Link struct{ hostif.Link }

// Open fails: TAP needs Linux.
func Open(Config) (*Link, error) {
	return nil, failure.Wrap(failure.Unsupported, hostif.ErrNotSupported, "tap: open", "run it on Linux")
}
