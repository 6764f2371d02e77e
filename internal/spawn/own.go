package spawn

import (
	"fmt"
	"os"

	"github.com/meshnic/meshnic/hostif/netns"
)

// InOwn is for the TestMain of tests that make namespaces and interfaces: where
// this user has no right to, it runs the whole program again inside a user and
// network namespace of its own, and otherwise, or where that cannot be had
// either, it calls run. It returns the exit code. It implies Dispatch.
func InOwn(run func() int) int {
	Dispatch()
	if netns.Entered() == "" && !netns.Privileged() {
		code, err := netns.EnterUnprivileged(os.Args[1:])
		if err == nil {
			return code
		}
		fmt.Fprintln(os.Stderr, err)
	}
	return run()
}
