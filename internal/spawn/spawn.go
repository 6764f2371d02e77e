// Package spawn starts programs inside a namespace, by way of this program's
// own binary: what must be done between fork and exec (enter the namespaces,
// put a hosts file in place, choose the cores) is done by a short-lived copy of
// ourselves, which then becomes the program. The pid stays the same.
//
// Every main and TestMain that starts programs in labs calls Dispatch first.
package spawn

import (
	"fmt"
	"os"

	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

// Verb is the first argument of a copy that is to become another program.
const Verb = "__spawn"

// guard is set in the environment of every copy, and taken out again before it
// becomes the program: a binary that forgot Dispatch would otherwise start
// copies of itself without end.
const guard = "MESHNIC_SPAWNED"

// The descriptors a copy is given.
const (
	configFd = 3 // its Config as JSON; an end without one means that the starter died
	statusFd = 4 // what went wrong, as text; closed by a successful exec
)

// Config is what a copy is told.
type Config struct {
	NS        string   `json:"ns,omitempty"`     // file of the network namespace
	HostsFile string   `json:"hosts,omitempty"`  // shown as /etc/hosts to the program alone
	Resolv    string   `json:"resolv,omitempty"` // and as /etc/resolv.conf
	User      int      `json:"user,omitempty"`   // and group; 0 is the starter's
	Cores     []int    `json:"cores,omitempty"`  // empty: wherever the starter may run
	Nice      int      `json:"nice,omitempty"`
	Dir       string   `json:"dir,omitempty"`
	Path      string   `json:"path"`
	Args      []string `json:"args"` // Args[0] is the program's name
	Env       []string `json:"env"`
	Stays     bool     `json:"stays,omitempty"` // lives on when its starter ends
}

// Dispatch runs one of the internal verbs and does not return if this process
// was started for one. Otherwise it does nothing.
func Dispatch() {
	if len(os.Args) < 2 {
		return
	}
	switch os.Args[1] {
	case Verb:
		become()
	case netns.InitVerb:
		netns.InitMain(os.Args[2:])
	}
}

func checkGuard() error {
	if os.Getenv(guard) == "" {
		return nil
	}
	return failure.New(failure.Unexpected, "start a program in a namespace",
		"this process is itself a copy that was to become one", "call spawn.Dispatch first in main and TestMain")
}

func fail(format string, args ...any) {
	status := os.NewFile(statusFd, "status")
	fmt.Fprintf(status, format, args...)
	os.Exit(127)
}
