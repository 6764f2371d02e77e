package load

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

// pin restricts every thread of the process to cpus; nil leaves it where it is.
func pin(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, c := range cpus {
		if c < 0 || c >= len(set)*64 {
			return failure.Usagef("load: processor %d does not exist", c)
		}
		set.Set(c)
	}
	// Twice: a thread made meanwhile by one that was not pinned yet would slip
	// through once.
	for range 2 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("load: list threads: %w", err)
		}
		for _, t := range tasks {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH {
				return failure.Wrap(failure.Unsupported, err, fmt.Sprintf("load: run on processors %v", cpus), "choose from those `nproc --all` and the cgroup's cpuset allow")
			}
		}
	}
	return nil
}

func sinkError(err error, at netip.AddrPort) error { return listenError(err, at) }
