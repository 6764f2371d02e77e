package bench

import "golang.org/x/sys/unix"

// lastCore is the highest core this process may run on.
func lastCore() int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return 0
	}
	last := 0
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			last = i
		}
	}
	return last
}
