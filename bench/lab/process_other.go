//go:build !linux

package lab

import (
	"time"

	"github.com/meshnic/meshnic/hostif"
)

// Elsewhere than on Linux no lab comes up, so no Process exists.

func (p *Process) signal(bool) {}

// CPU is not supported.
func (p *Process) CPU() (time.Duration, error) { return 0, hostif.ErrNotSupported }

// RSS is not supported.
func (p *Process) RSS() (int64, error) { return 0, hostif.ErrNotSupported }

// WaitListening is not supported.
func (p *Process) WaitListening(string, time.Duration) error { return hostif.ErrNotSupported }
