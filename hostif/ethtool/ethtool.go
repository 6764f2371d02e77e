// Package ethtool reads and changes the offload settings of an interface, in
// any network namespace, so that a link may trust the frames it is given: it
// finds the peer of a veth, turns features off there, and puts every setting
// back exactly as it was.
//
// A Change is written down (Recorder) before it is made. It names its interface
// by namespace and index, serialises to JSON, and can be undone by another
// process long after the one that made it was killed.
package ethtool

import (
	"errors"
	"fmt"
)

// ErrNoPeer means that an interface has no peer whose settings could be
// changed: it is no veth, or the peer's namespace cannot be reached.
var ErrNoPeer = errors.New("ethtool: no peer within reach")

// ThreadedNAPI is, as a Change's Feature, no feature of ethtool -k but the
// attribute "threaded" of an interface: what it receives through NAPI it
// receives in kernel threads. It ends with the last NAPI: what turned that on
// is undone after it.
const ThreadedNAPI = "threaded-napi"

// NAPI is one receive context of an interface.
type NAPI struct {
	ID  uint32
	PID int // of the kernel thread that polls it; 0: none does
}

// NetNS names a network namespace so that another process can find it again.
type NetNS struct {
	// Path opens it, if it still leads there: a bind mount, or an entry of /proc.
	Path string `json:"path"`
	// Inode is the namespace's number as in net:[4026531840]. Numbers are
	// reused, so Cookie decides; it is unique until the next boot (0: unknown).
	Inode  uint64 `json:"inode"`
	Cookie uint64 `json:"cookie"`
}

// Change is one setting of one interface: what it was and what it becomes.
type Change struct {
	NetNS   NetNS  `json:"netns"`
	Iface   string `json:"iface"`   // name when it was changed, for people
	Ifindex int    `json:"ifindex"` // what it is found by
	Feature string `json:"feature"` // the kernel's name, as in ethtool -k: "tx-checksum-ip-generic"
	Was     bool   `json:"was"`     // the requested state before
	Now     bool   `json:"now"`     // the state asked for
}

// String says the change in one line.
func (c Change) String() string {
	word := map[bool]string{true: "on", false: "off"}
	return fmt.Sprintf("%s of %s: %s (was %s)", c.Feature, c.Iface, word[c.Now], word[c.Was])
}

// A Recorder writes a change down before it is made. If it fails, the change is
// not made.
type Recorder interface {
	Record(c Change) error
}

// Turn turns features of an interface on or off where they are not so already, each
// written down by record before. made are those that were changed, also if one could not
// be. unrecorded is that one could not be written down: then it was not changed.
func Turn(p Peer, on bool, record func(Change) error, features ...string) (made []Change, err, unrecorded error) {
	plan, err := Plan(p, on, features...)
	for _, c := range plan {
		if err := record(c); err != nil {
			return made, nil, err
		}
		if err = Apply(c); err != nil {
			break
		}
		made = append(made, c)
	}
	return made, err, nil
}

// Peer is the other end of a veth.
type Peer struct {
	NetNS NetNS
	Name  string
	Index int
}

// Features is the state of an interface's features by the kernel's name.
type Features map[string]Feature

// Feature is the state of one feature (ethtool's GFEATURES).
type Feature struct {
	Available bool // may be changed
	Requested bool // the user's wish, which survives what the kernel forces
	Active    bool // what holds now
	Fixed     bool // never changes on this kind of interface
}
