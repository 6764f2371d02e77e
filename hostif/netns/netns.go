// Package netns builds and removes the network namespaces of labs: named
// namespaces, veth pairs made in place across them, addresses, routes, NAT.
// Nothing is made in the namespace the caller lives in.
//
// Whatever is made for a lab is written to the lab's journal first (Journal),
// so that Undo restores the host after a kill -9 at any point, by the journal
// or, where it is lost, by the names and the process table alone.
package netns

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/meshnic/meshnic/internal/failure"
)

const (
	// Prefix starts the name of every namespace this project makes.
	Prefix = "mnic-"
	// Dir is where named namespaces are mounted, as iproute2 has it.
	Dir = "/run/netns"
)

var (
	labName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,30}$`)
	hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`)
)

// CheckLab reports whether name can name a lab. It has no hyphen: the first
// hyphen of a namespace's name ends the lab's, and lab "a" must not be taken
// for the owner of what lab "a-b" made.
func CheckLab(name string) error {
	if labName.MatchString(name) {
		return nil
	}
	return failure.New(failure.Usage, "lab name "+quote(name),
		"want 1 to 31 of a-z, 0-9 and _, not beginning with _", "")
}

// CheckHost reports whether name can name a host of a lab.
func CheckHost(name string) error {
	if hostName.MatchString(name) {
		return nil
	}
	return failure.New(failure.Usage, "host name "+quote(name),
		"want 1 to 30 of a-z, 0-9 and -, not at the ends", "")
}

func quote(s string) string { return `"` + s + `"` }

// Name returns the name of a lab's namespace for host: mnic-LAB-HOST.
func Name(lab, host string) string { return Prefix + lab + "-" + host }

// Split takes a namespace's name apart. It reports false for namespaces that
// are not of this project.
func Split(name string) (lab, host string, ok bool) {
	rest, ok := strings.CutPrefix(name, Prefix)
	if !ok {
		return "", "", false
	}
	lab, host, ok = strings.Cut(rest, "-")
	if !ok || !labName.MatchString(lab) || host == "" {
		return "", "", false
	}
	return lab, host, true
}

// Path returns the file that a named namespace is mounted on.
func Path(name string) string { return filepath.Join(Dir, name) }

// VIP is an address that connections leave the namespace for one of Backends
// from, chosen at random for each connection with equal chances.
type VIP struct {
	Addr     string   `json:"addr"`     // IPv4:port, TCP
	Backends []string `json:"backends"` // IPv4:port each
}

// The table and chain that Balance makes.
const (
	BalanceTable = "mnic"
	BalanceChain = "balance"
)

// CheckVIP reports whether every address of v is an IPv4 address and port and
// there is a backend.
func CheckVIP(v VIP) error {
	for _, a := range append([]string{v.Addr}, v.Backends...) {
		if p, err := netip.ParseAddrPort(a); err != nil || !p.Addr().Is4() || p.Port() == 0 {
			return failure.New(failure.Usage, "balanced address "+quote(a), "want IPv4:port", "")
		}
	}
	if len(v.Backends) == 0 {
		return failure.New(failure.Usage, "balanced address "+quote(v.Addr), "it has no backends", "")
	}
	return nil
}

// End is one end of a veth pair.
type End struct {
	NS   string // name of the namespace
	Name string // of the interface, at most 15 bytes
	MAC  string // empty: the kernel chooses
	// Index is the number of the interface; 0: the kernel chooses. Only the
	// first end of a pair has a choice. If both ends happen to have the same
	// number (each the second interface of its namespace, say), the kernel may
	// take a second to let packets through, as it does not put news of such a
	// pair before its limit of one round a second (linkwatch_urgent_event).
	Index int
}

// VXLAN is a device whose frames travel in UDP between nodes (RFC 7348).
type VXLAN struct {
	Name, MAC string
	ID, Port  int
	Local     netip.Addr // of this node
	Over      string     // interface of this node to the others
	MTU       int        // of the packets within
}

// UndoFunc restores one host setting from the JSON that was journalled before
// it was changed. It must treat an interface that is gone as restored, and may
// be called more than once.
type UndoFunc func(change []byte) error
