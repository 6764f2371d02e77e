//go:build amd64 || arm64

package tcp

import "unsafe"

// prefetch asks for the cache line of p and does not wait for it.
//
//go:noescape
func prefetch(p unsafe.Pointer)

// prefetchEntry asks for the three cache lines of an entry.
//
//go:noescape
func prefetchEntry(p unsafe.Pointer)
