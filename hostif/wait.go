package hostif

import "time"

// Wait waits once for links; see Waiter, which a loop should keep.
func Wait(links []Link, timeout time.Duration) (bool, error) {
	w := NewWaiter(links)
	defer w.Close()
	return w.Wait(timeout)
}
