package nic

import "golang.org/x/sys/unix"

// yield lets another thread that wants this core have it.
func yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
