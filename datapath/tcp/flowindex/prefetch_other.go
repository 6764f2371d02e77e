//go:build !amd64 && !arm64

package flowindex

import "unsafe"

// Prefetch does nothing on this architecture.
func Prefetch(unsafe.Pointer) {}

// Prefetch2 does nothing on this architecture.
func Prefetch2(unsafe.Pointer) {}

// Prefetch3 does nothing on this architecture.
func Prefetch3(unsafe.Pointer) {}
