//go:build !linux

package xdp

import (
	"fmt"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

// Group is Linux only.
type Group struct{ Links []*Link }

// Link is Linux only.
type Link struct{ hostif.Link }

// Open is Linux only.
func Open(Config) (*Group, error) {
	return nil, failure.Wrap(failure.Unsupported, fmt.Errorf("xdp: %w: AF_XDP needs Linux", hostif.ErrNotSupported), "xdp: open", "use pcap or mem links here")
}

// Close does nothing.
func (g *Group) Close() error { return nil }

// Check does nothing.
func (g *Group) Check() error { return nil }
