//go:build amd64 || arm64

package flowindex

import "unsafe"

// Prefetch asks for the cache line of p and does not wait for it.
//
//go:noescape
func Prefetch(p unsafe.Pointer)

// Prefetch2 asks for the line of p and the next.
//
//go:noescape
func Prefetch2(p unsafe.Pointer)

// Prefetch3 asks for the line of p and the next two.
//
//go:noescape
func Prefetch3(p unsafe.Pointer)
