//go:build !amd64 && !arm64

package tcp

import "unsafe"

func prefetch(unsafe.Pointer) {}

func prefetchEntry(unsafe.Pointer) {}
