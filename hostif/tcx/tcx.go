// Package tcx sends what passes one interface on by another, before anything of
// the network stack has seen it: one program of three instructions at a hook of tcx
// (Linux 6.6), which ends with the process that holds it, however that dies.
//
// Frames that an AF_XDP socket sends do not pass the egress hook (they take
// __dev_direct_xmit); frames that are put at an interface's ingress do not pass its
// native XDP program.
package tcx

// Hook is where on an interface a program sits.
type Hook uint8

// The hooks.
const (
	Ingress Hook = iota // what has arrived
	Egress              // what the stack sends
)

// Redirect says which frames go where. Both interfaces are of one namespace.
type Redirect struct {
	From int  // number of the interface
	At   Hook // of From
	To   int  // number of the interface
	As   Hook // Egress: To sends it; Ingress: it counts as arrived at To
}
