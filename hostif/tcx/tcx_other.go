//go:build !linux

package tcx

import "github.com/meshnic/meshnic/internal/failure"

// Link is Linux only.
type Link struct{}

// Open is Linux only.
func Open(Redirect) (*Link, error) {
	return nil, failure.New(failure.Unsupported, "tcx: redirect", "it is a hook of Linux", "run it on Linux")
}

// Close does nothing.
func (*Link) Close() error { return nil }
