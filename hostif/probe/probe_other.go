//go:build !linux

package probe

import (
	"errors"
	"runtime"
)

// Host says that live traffic needs Linux.
func Host() []Finding {
	return []Finding{{
		Name: "live traffic", For: "attach, lab, bench",
		Why: runtime.GOOS + " has neither AF_XDP nor network namespaces", Next: "run on Linux, for example in a virtual machine",
	}}
}

var errOS = errors.New(runtime.GOOS + " has no such thing\nrun on Linux")

// XDP says no.
func XDP() error { return errOS }

// TAP says no.
func TAP() error { return errOS }

// Packet says no.
func Packet() error { return errOS }
