//go:build !linux

package nic

import "runtime"

func yield() { runtime.Gosched() }
