package attach

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/hostif/fault"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/hostif/packet"
	"github.com/meshnic/meshnic/hostif/probe"
	"github.com/meshnic/meshnic/hostif/tap"
	"github.com/meshnic/meshnic/hostif/xdp"
	"github.com/meshnic/meshnic/internal/failure"
)

// settingHandler is the name under which changed offload settings stand in a
// journal.
const settingHandler = "ethtool"

// UndoHandlers restore journalled settings, and remove what was made; netns.Undo takes
// them.
func UndoHandlers() map[string]netns.UndoFunc {
	return map[string]netns.UndoFunc{
		settingHandler: undoing(ethtool.Undo),
		pairHandler:    undoing(pair.remove),
	}
}

func undoing[T any](undo func(T) error) netns.UndoFunc {
	return func(raw []byte) error {
		var change T
		if err := json.Unmarshal(raw, &change); err != nil {
			return fmt.Errorf("attach: journalled setting: %w", err)
		}
		return undo(change)
	}
}

// Open opens one link a port, all or none.
func Open(ports []PortSpec, opt Options) (_ *Set, err error) {
	if err := checkPorts(ports); err != nil {
		return nil, err
	}
	var faults fault.Config
	if opt.Fault != "" {
		if faults, err = fault.Parse(opt.Fault); err != nil {
			return nil, err
		}
	}
	s := &Set{Mode: opt.Mode}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.Mode == Auto {
		probed := probe.XDP()
		s.Mode = XDP
		if probed != nil {
			s.Mode = Packet
		}
		s.Why = chosen(s.Mode, probed)
	}
	spaces, closeSpaces, err := openNamespaces(ports)
	if err != nil {
		return nil, err
	}
	defer closeSpaces()
	for i, p := range ports {
		release, err := claim(p, spaces[i])
		if err != nil {
			return nil, err
		}
		s.undo = append(s.undo, release)
	}
	switch s.Mode {
	case XDP:
		err = s.openXDP(ports, spaces, opt)
	case TAP:
		err = s.openEach(ports, spaces, func(p PortSpec, ns int) (hostif.Link, error) {
			return tap.Open(tap.Config{Name: p.Iface, NS: ns, Logf: opt.Log})
		})
	case Packet:
		err = s.openEach(ports, spaces, func(p PortSpec, ns int) (hostif.Link, error) {
			return packet.Open(packet.Config{Name: p.Iface, NS: ns, Logf: opt.Log})
		})
	default:
		err = failure.Usagef("mode %q: want auto, xdp, tap or packet", s.Mode)
	}
	if err != nil {
		return nil, err
	}
	s.disturb(opt, faults)
	return s, nil
}

// disturb injects the faults that opt asks for.
func (s *Set) disturb(opt Options, faults fault.Config) {
	if opt.Fault == "" {
		return
	}
	for i, l := range s.Links {
		faults.Seed = opt.Seed + uint64(i)
		s.Links[i] = fault.Wrap(l, faults, time.Now)
	}
}

// openNamespaces opens the ports' namespaces: a descriptor each, -1 for the
// caller's own.
func openNamespaces(ports []PortSpec) (fds []int, closeAll func(), err error) {
	closeAll = func() {
		for _, fd := range fds {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	}
	for _, p := range ports {
		fd := -1
		if p.NS != "" {
			if fd, err = unix.Open(p.NS, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
				closeAll()
				kind := failure.Usage
				if errors.Is(err, os.ErrPermission) {
					kind = failure.Privilege
				}
				return nil, nil, failure.Wrap(kind, err, "open network namespace "+p.NS+" of port "+p.Name, "ip netns list shows the names")
			}
		}
		fds = append(fds, fd)
	}
	return fds, closeAll, nil
}

func (s *Set) openEach(ports []PortSpec, spaces []int, open func(PortSpec, int) (hostif.Link, error)) error {
	for i, p := range ports {
		l, err := open(p, spaces[i])
		if err != nil {
			return err
		}
		s.Links = append(s.Links, l)
		s.undo = append(s.undo, l.Close)
	}
	return nil
}

// openXDP opens a group of AF_XDP links. The settings it changes on the peers
// are journalled, so that clean restores them after a kill -9.
func (s *Set) openXDP(ports []PortSpec, spaces []int, opt Options) error {
	journal, err := s.begin(fmt.Sprintf("attach_%d", os.Getpid()), opt.Log)
	if err != nil {
		return err
	}
	cfg := xdp.Config{Threaded: opt.Threaded, FlowTable: opt.FlowTable && opt.Fault == "", Log: opt.Log, Recorder: recorder{journal}}
	for i, p := range ports {
		cfg.Ifaces = append(cfg.Ifaces, xdp.Iface{Name: p.Iface, NS: spaces[i]})
	}
	_, err = s.openGroup(cfg)
	return err
}

var ofAttach = regexp.MustCompile(`^attach_[0-9]+(_[0-9]+)?$`)

// undoDead undoes what attaches left whose process is dead. It is done before a setting is
// looked at: one that is as the dead left it would stay so, and a clean would later put it
// back under a NIC that relies on it.
func undoDead(log hostif.Logf) {
	names, err := netns.Labs()
	for _, name := range names {
		if !ofAttach.MatchString(name) {
			continue
		}
		if st, lerr := netns.Load(name); lerr != nil || st.Alive {
			continue
		}
		found, uerr := netns.Undo(name, netns.UndoOptions{Handlers: UndoHandlers()})
		switch {
		case failure.KindOf(uerr) == failure.Conflict: // it has begun meanwhile
		case uerr != nil:
			err = errors.Join(err, uerr)
		case found && log != nil:
			log("undone: %s, whose process is dead", name)
		}
	}
	if err != nil && log != nil {
		log("what a dead attach left here could not all be undone: %v", err)
	}
}

// begin makes the journal, which Close undoes last.
func (s *Set) begin(name string, log hostif.Logf) (*netns.Journal, error) {
	undoDead(log)
	journal, err := netns.Create(name, nil)
	if err != nil {
		return nil, err
	}
	s.undo = append(s.undo, func() error {
		journal.Close()
		_, err := netns.Undo(name, netns.UndoOptions{Handlers: UndoHandlers()})
		return err
	})
	return journal, nil
}

func (s *Set) openGroup(cfg xdp.Config) (*xdp.Group, error) {
	group, err := xdp.Open(cfg)
	if err != nil {
		return nil, err
	}
	s.undo = append(s.undo, group.Close)
	for _, l := range group.Links {
		s.Links = append(s.Links, l)
	}
	s.FlowTable = group.FlowTable()
	return group, nil
}

type recorder struct{ journal *netns.Journal }

func (r recorder) Record(c ethtool.Change) error { return r.journal.Setting(settingHandler, "", c) }
