//go:build !linux

package bench

func lastCore() int { return 0 }
