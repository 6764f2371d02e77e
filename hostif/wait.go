package hostif

import "time"

// Wait waits once for links; see Waiter, which a loop should keep.
func Wait(links []Link, timeout time.Duration) (bool, error) { return NewWaiter(links).Wait(timeout) }
