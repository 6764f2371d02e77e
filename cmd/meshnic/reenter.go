package main

import (
	"fmt"
	"os"

	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

// exitStatus is the exit code of a copy of this program that has already said
// what there was to say.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// reenter runs this command again inside a user and network namespace.
func reenter() error {
	if netns.Entered() != "" {
		return failure.New(failure.Privilege, "make network namespaces", "a user namespace did not give the capabilities CAP_SYS_ADMIN and CAP_NET_ADMIN", "run it as root (sudo)")
	}
	code, err := netns.EnterUnprivileged(os.Args[1:])
	if err != nil || code == 0 {
		return err
	}
	return exitStatus(code)
}
