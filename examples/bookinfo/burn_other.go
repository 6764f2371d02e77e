//go:build !linux

package bookinfo

import "time"

const canBurn = false

func burnCPU(time.Duration) { panic("bookinfo: burnCPU: New refuses work here") }
