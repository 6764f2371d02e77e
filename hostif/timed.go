package hostif

import "time"

// Timed is a Link that may have something to deliver although nothing arrives:
// a delayed frame. Its Fd polls readable when that is due, so a loop need not
// know of it; one that computes its own timeout may ask.
type Timed interface {
	// NextDue returns how long from now until Recv will deliver by itself, 0
	// if that is now. ok is false if nothing is waiting.
	NextDue(now time.Time) (wait time.Duration, ok bool)
}
