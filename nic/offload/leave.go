package offload

import (
	"context"
	"time"

	"github.com/meshnic/meshnic/datapath/tcp/splice"
)

// leaveEvery is how often it is looked whether all connections are over; leaveIdle is
// how long one has been without a request before it is ended: whoever has had a response
// with "connection: close" has ended it by then.
const (
	leaveEvery = 10 * time.Millisecond
	leaveIdle  = 100 * time.Millisecond
)

// Leave takes no new connections, has those that there are end after the request they
// carry, ends those without one, and returns how many are left when the time is over or
// ctx ends. The NIC has to run.
func (a *Admin) Leave(ctx context.Context, limit time.Duration) (left int) {
	a.FailHealthcheck(true)
	a.DrainListeners(false)
	for end := time.Now().Add(limit); ; {
		if a.do(func() { left = a.o.leave() }) != nil || left == 0 || time.Now().After(end) {
			return left
		}
		select {
		case <-ctx.Done():
			return left
		case <-time.After(leaveEvery):
		}
	}
}

// leave ends the connections that have no request, and those to servers that no request
// waits for; it returns how many clients are not done.
func (o *Offload) leave() (n int) {
	idle := o.cycles(leaveIdle)
	for i, f := range o.all() {
		if f.ended {
			continue
		}
		n++
		if !f.active && f.parser == nil && f.raw == byNothing && o.now-f.touched >= idle {
			f.leaves = true
			o.engine.SetDeadline(i, max(o.now, 1))
		}
	}
	for ep := range o.ends {
		o.drain = append(o.drain, splice.Endpoint(ep))
	}
	return n
}
