package netns

import "os"

// InitVerb is the first argument of the process that sets up a private host
// and waits for the program in it.
const InitVerb = "__nsinit"

// enteredVar tells the program in a private host how it got there.
const enteredVar = "MESHNIC_ENTERED"

// Entered says which private host this process was started in: "unprivileged"
// by EnterUnprivileged, "private" by EnterPrivate, or "" for the real one.
func Entered() string { return os.Getenv(enteredVar) }
