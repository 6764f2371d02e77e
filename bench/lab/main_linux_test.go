package lab

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/spawn"
)

// TestMain runs the tests on a host of their own, so that the state of the host
// can be compared as a whole, whatever else this machine is doing.
func TestMain(m *testing.M) {
	spawn.Dispatch()
	if verb := os.Getenv(childVar); verb != "" {
		os.Exit(child(verb))
	}
	if netns.Entered() == "" && os.Getenv("LAB_TEST_HERE") == "" {
		enter := func() (int, error) { return netns.EnterPrivate(os.Args[1:]) }
		if !netns.Privileged() {
			enter = func() (int, error) { return netns.EnterUnprivileged(os.Args[1:]) }
		}
		code, err := enter()
		if err == nil {
			os.Exit(code)
		}
		fmt.Fprintln(os.Stderr, err)
	}
	goleak.VerifyTestMain(m)
}
