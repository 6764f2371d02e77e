package bookinfo

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const canBurn = true

// burnCPU computes until the calling thread has used d of CPU time. Time the
// thread spends preempted does not count, as it would not for an application.
func burnCPU(d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	end := threadCPU() + d
	x := uint64(d)
	for threadCPU() < end {
		x = churn(x)
	}
	runtime.KeepAlive(x)
}

// churn is a few microseconds of arithmetic.
//
//go:noinline
func churn(x uint64) uint64 {
	for range 4000 {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

// threadCPU returns the CPU time that the calling thread has used.
func threadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic("bookinfo: CLOCK_THREAD_CPUTIME_ID: " + err.Error()) // part of every kernel Go runs on
	}
	return time.Duration(ts.Nano())
}
