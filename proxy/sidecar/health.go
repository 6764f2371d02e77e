package sidecar

import "github.com/meshnic/meshnic/proxy/admin"

// State is what the admin says of the server.
type State = admin.State

// The states that a Server can be in.
const (
	Live     = admin.Live
	Draining = admin.Draining
)

// State returns s's state.
func (s *Server) State() State { return State(s.state.Load()) }

// FailHealthcheck makes /ready say that no requests should come any more, and
// responses ask for the close of their connection; or takes that back.
func (s *Server) FailHealthcheck(fail bool) {
	state := Live
	if fail {
		state = Draining
	}
	s.state.Store(uint32(state))
	s.each(func(_ int, w *worker) error { w.fail(fail); return nil }, nil)
}

// DrainListeners has responses ask for the close of their connection, more and
// more of them as Options.DrainTime passes, and stops listening: at once, or if
// graceful at the end of that time. Connections that stay are still served.
func (s *Server) DrainListeners(graceful bool) {
	s.each(func(_ int, w *worker) error { w.drainListeners(graceful); return nil }, nil)
}
