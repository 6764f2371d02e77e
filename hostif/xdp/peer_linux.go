package xdp

import (
	"errors"
	"slices"

	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/internal/failure"
)

// txChecksum are the features that leave an L4 checksum to the device. Without
// them the kernel also does without TSO.
var txChecksum = []string{
	"tx-checksum-ipv4", "tx-checksum-ipv6", "tx-checksum-ip-generic", "tx-checksum-sctp", "tx-checksum-fcoe-crc",
}

// txTags are the features that leave a VLAN tag to the device: it comes beside the
// frame then, where an AF_XDP socket does not see it.
var txTags = []string{"tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"}

// settlePeer sees to it that frames arrive whole, with finished checksums: by turning
// transmit checksumming and tagging off on the peer, or else by finishing sums here.
func (l *Link) settlePeer(p *port) error {
	cfg := &l.g.cfg
	peer, err := ethtool.FindPeer(-1, l.iface.Name) // we are in its namespace
	p.peer, p.hasPeer = peer, err == nil
	if f, err := peer.Features(); p.hasPeer && err == nil {
		l.tso = f["tx-tcp-segmentation"].Active
	}
	if cfg.RecomputeChecksums {
		l.finish = true
		cfg.logf("xdp: %s: unfinished checksums are finished on receive, as asked", l.iface.Name)
		return nil
	}
	if err != nil {
		l.finish = true
		cfg.logf("xdp: %s: unfinished checksums are finished on receive, and VLAN tags left to the device are lost: %v", l.iface.Name, err)
		return nil
	}
	n, err, unrecorded := l.turn(peer, false, slices.Concat(txChecksum, txTags)...)
	if unrecorded != nil {
		return unrecorded
	}
	if err != nil {
		l.finish = true
		cfg.logf("xdp: %s: unfinished checksums are finished on receive: %v", l.iface.Name, err)
		return l.restorePeer()
	}
	if n > 0 {
		cfg.logf("xdp: %s: transmit checksum and VLAN offload of its peer %s is off while attached", l.iface.Name, peer.Name)
	}
	return nil
}

// turn is ethtool.Turn, undone when the link is closed; n is how many features were
// changed.
func (l *Link) turn(p ethtool.Peer, on bool, features ...string) (n int, err, unrecorded error) {
	made, err, unrecorded := ethtool.Turn(p, on, l.record, features...)
	l.changes = append(l.changes, made...)
	return len(made), err, unrecorded
}

// record writes a change down before it is made.
func (l *Link) record(c ethtool.Change) error {
	if l.g.cfg.Recorder == nil {
		return nil
	}
	return failure.Wrap(failure.Unexpected, l.g.cfg.Recorder.Record(c), "xdp: write down the settings of "+c.Iface+" before changing them", "")
}

// verifyPeer looks whether the peer will still hand over frames larger than its
// MTU: the program must have turned that off.
func (l *Link) verifyPeer(p *port) error {
	if !p.hasPeer {
		return nil
	}
	f, err := p.peer.Features()
	if err != nil {
		return nil // it was there a moment ago: no reason to fail
	}
	for _, name := range []string{"tx-tcp-segmentation", "tx-tcp6-segmentation"} {
		if f[name].Active {
			return failure.New(failure.Unsupported, "xdp: attach to "+l.iface.Name,
				name+" of its peer "+p.peer.Name+" is still on: segments of 64 KB would be lost",
				"ethtool -K "+p.peer.Name+" tso off")
		}
	}
	if l.tso {
		l.g.cfg.logf("xdp: %s: TSO of its peer %s is off while attached: bulk TCP comes in frames of its MTU", l.iface.Name, p.peer.Name)
	}
	return nil
}

// restorePeer puts the peer's settings back, the last change first.
func (l *Link) restorePeer() error {
	var errs []error
	for _, c := range slices.Backward(l.changes) {
		errs = append(errs, ethtool.Undo(c))
	}
	l.changes = nil
	return errors.Join(errs...)
}
