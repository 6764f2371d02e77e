//go:build !linux

package spawn

import (
	"os"
	"os/exec"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// Starter starts programs; on Linux only.
type Starter struct{}

// NewStarter returns a Starter whose Start fails.
func NewStarter() *Starter { return &Starter{} }

// Close does nothing.
func (*Starter) Close() {}

// Start fails.
func (*Starter) Start(*exec.Cmd, Config, func(int) error) (time.Duration, error) {
	if err := checkGuard(); err != nil {
		return 0, err
	}
	return 0, failure.New(failure.Unsupported, "start a program in a network namespace", "this is not Linux", "run it on Linux")
}

func become() {
	fail("other\nthis is not Linux")
	os.Exit(int(failure.Unsupported))
}
