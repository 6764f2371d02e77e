//go:build !linux

package probe

import "runtime"

// Host says that live traffic needs Linux.
func Host() []Finding {
	return []Finding{{
		Name: "live traffic", For: "attach, lab, bench",
		Why: runtime.GOOS + " has neither AF_XDP nor network namespaces", Next: "run on Linux, for example in a virtual machine",
	}}
}
