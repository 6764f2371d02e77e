// Package attach opens the links of a NIC's ports on interfaces of the host: it
// chooses the kind of link, writes changed settings to a journal, and undoes
// all of it together. Or it puts a NIC's two ports in the way of one veth (Inline).
package attach

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/xdp"
	"github.com/meshnic/meshnic/internal/failure"
)

// Mode is the kind of link.
type Mode string

// The modes.
const (
	Auto   Mode = "auto"   // XDP where this host can, else Packet
	XDP    Mode = "xdp"    // AF_XDP on an existing interface; needs root
	TAP    Mode = "tap"    // the port is a TAP interface that is made
	Packet Mode = "packet" // AF_PACKET on an existing interface
)

// ParseMode reads a mode.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Auto, XDP, TAP, Packet:
		return m, nil
	}
	return "", failure.Usagef("mode %q: want auto, xdp, tap or packet", s)
}

// ParseThreaded reads in whose time the peers of AF_XDP ports receive.
func ParseThreaded(s string) (xdp.Threaded, error) {
	for word, t := range map[string]xdp.Threaded{"auto": xdp.ThreadedAuto, "on": xdp.ThreadedOn, "off": xdp.ThreadedOff} {
		if s == word {
			return t, nil
		}
	}
	return xdp.ThreadedOff, failure.Usagef("threaded receive %q: want auto, on or off", s)
}

// PortSpec names a port and the interface it is put on.
type PortSpec struct {
	Name  string
	Iface string
	NS    string // file of the interface's network namespace; empty: the caller's
}

var portForm = regexp.MustCompile(`^([A-Za-z0-9_-]{1,32})=([^@/\s]{1,15})(?:@(\S+))?$`)

// ParsePort reads NAME=INTERFACE[@NAMESPACE]. NAMESPACE is a name under
// /run/netns or a path such as /proc/PID/ns/net; ns is what it is without one.
func ParsePort(s, ns string) (PortSpec, error) {
	m := portForm.FindStringSubmatch(s)
	if m == nil {
		return PortSpec{}, failure.Usagef("port %q: want NAME=INTERFACE or NAME=INTERFACE@NAMESPACE, for example a=veth0@blue", s)
	}
	if m[3] != "" {
		ns = m[3]
	}
	return PortSpec{Name: m[1], Iface: m[2], NS: namespaceFile(ns)}, nil
}

func namespaceFile(ns string) string {
	if ns == "" || strings.HasPrefix(ns, "/") {
		return ns
	}
	return filepath.Join("/run/netns", ns)
}

// Options say how the ports are opened.
type Options struct {
	Mode      Mode
	Threaded  xdp.Threaded // of mode xdp
	FlowTable bool         // of mode xdp: have the host carry TCP between known addresses, where it can
	Fault     string       // faults injected on every port, as hostif/fault parses it; empty: none
	Seed      uint64       // of the faults
	Log       hostif.Logf
}

// Set is the open ports of a NIC.
type Set struct {
	Mode      Mode   // what was chosen
	Why       string // why, if Auto
	Links     []hostif.Link
	FlowTable hostif.FlowTable // nil: the host carries nothing by itself

	undo []func() error // in the order made
}

// Close closes the links and restores every setting that opening them changed.
func (s *Set) Close() error {
	var first error
	for i := len(s.undo) - 1; i >= 0; i-- {
		if err := s.undo[i](); err != nil && first == nil {
			first = err
		}
	}
	s.undo = nil
	return first
}

func checkPorts(ports []PortSpec) error {
	seen, names := map[string]string{}, map[string]bool{}
	for _, p := range ports {
		if names[p.Name] {
			return failure.Usagef("two ports are named %s: a name stands for one interface", p.Name)
		}
		names[p.Name] = true
		key := p.Iface + "@" + p.NS
		if other, ok := seen[key]; ok {
			return failure.Usagef("ports %s and %s are the same interface, %s", other, p.Name, p.Iface)
		}
		seen[key] = p.Name
	}
	if len(ports) < 2 {
		return failure.Usagef("a NIC needs at least two ports, and has %d: --port a=IF --port b=IF", len(ports))
	}
	return nil
}

// chosen explains Auto in one line.
func chosen(m Mode, err error) string {
	if m == XDP {
		return "AF_XDP works here"
	}
	cause, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Sprintf("AF_XDP does not work here (%s)", cause)
}
