//go:build !linux

package fault

import (
	"time"

	"github.com/meshnic/meshnic/hostif"
)

// timer is Linux only: elsewhere a loop asks NextDue.
type timer struct{ inner hostif.Link }

func newTimer(inner hostif.Link) *timer  { return &timer{inner} }
func (t *timer) set(time.Duration)       {}
func (t *timer) fd() int                 { return t.inner.Fd() }
func (t *timer) waitFds(fds []int) []int { return fds }
func (t *timer) ring()                   {}
func (t *timer) close()                  {}
