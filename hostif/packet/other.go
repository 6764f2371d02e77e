//go:build !linux

package packet

import (
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

// Link is an open packet socket; there is none on this system.
type Link struct{ hostif.Link }

// Open fails: AF_PACKET needs Linux.
func Open(Config) (*Link, error) {
	return nil, failure.Wrap(failure.Unsupported, hostif.ErrNotSupported, "packet: open", "run it on Linux")
}
