//go:build !linux

package nic

import "time"

var began = time.Now()

// cpuTime is a clock: where nothing is carried live, there is no allowance either.
func cpuTime() time.Duration { return time.Since(began) }
