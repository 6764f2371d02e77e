package attach

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/hostif/fault"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/hostif/tcx"
	"github.com/meshnic/meshnic/hostif/xdp"
	"github.com/meshnic/meshnic/internal/failure"
)

// Inline is the two ports of a NIC in the way of one veth: the first towards its
// far end, the second towards the stack that has the near end (a bridge, routes).
//
//	 far end        near end                              stack: bridge or routes
//	+-------+ veth +----------+        ingress of near   +-----------------------+
//	| eth0  |======| XDP      |        end, as if it had |                       |
//	+-------+      |   tcx  <-|---------arrived there----|--> sends by near end  |
//	               +-|-----|--+              ^           +-----------------------+
//	          AF_XDP |     | what it sends   |
//	               +-v-+   |             +---|----+
//	               |NIC|   +------------>| stack  |
//	               +-^-+     veth        +--------+
//	          AF_XDP +-----+ card |==========+
//
// Nothing of the near end's place changes, so that the stack notices nothing: the
// bridge it is a port of, addresses, routes, rules by its name. What ties it to the NIC
// (an XDP program and two redirects) ends with the process; from then on frames go
// straight again, without anybody doing anything.
type Inline struct {
	*Set
	near   int // number
	card   int // of the pair, the NIC's end
	stack  int // the other
	links  []*xdp.Link
	toCard *tcx.Link // frames from the stack
	back   *tcx.Link // frames to it
}

// OpenInline makes ready to put a NIC in the way of veth, an interface of the caller's
// namespace. Until Divert no frame goes another way than before.
func OpenInline(veth string, opt Options) (_ *Inline, err error) {
	var faults fault.Config
	if opt.Fault != "" {
		if faults, err = fault.Parse(opt.Fault); err != nil {
			return nil, err
		}
	}
	if opt.Mode != Auto && opt.Mode != XDP {
		return nil, failure.Usagef("mode %s: a NIC in the way of a container is there by AF_XDP only: leave --mode out, or --mode xdp", opt.Mode)
	}
	l, err := netlink.LinkByName(veth)
	if err != nil {
		return nil, failure.Wrap(failure.Usage, err, "find interface "+veth, "ip link show; check the name")
	}
	in := &Inline{Set: &Set{Mode: XDP}, near: l.Attrs().Index}
	defer func() {
		if err != nil {
			in.Close()
		}
	}()
	journal, err := in.begin(fmt.Sprintf("attach_%d_%d", os.Getpid(), in.near), opt.Log)
	if err != nil {
		return nil, err
	}
	if err := in.makePair(journal, l.Attrs().MTU); err != nil {
		return nil, err
	}
	if err := in.keepNAPI(journal, veth); err != nil {
		return nil, err
	}
	group, err := in.openGroup(xdp.Config{
		Threaded: opt.Threaded, Log: opt.Log, Recorder: recorder{journal}, Later: true,
		Ifaces: []xdp.Iface{{Name: veth, NS: -1}, {Name: cardName(in.near), NS: -1}},
	})
	if err != nil {
		return nil, err
	}
	in.links = group.Links
	in.undo = append(in.undo, in.untie)
	if in.back, err = tcx.Open(tcx.Redirect{From: in.stack, At: tcx.Ingress, To: in.near, As: tcx.Ingress}); err != nil {
		return nil, err
	}
	in.disturb(opt, faults)
	return in, nil
}

// The ends of the pair are named after the number of the near end.
func stackName(near int) string { return fmt.Sprintf("mnic%d", near) }
func cardName(near int) string  { return fmt.Sprintf("mnic%dc", near) }

// pairHandler is the name under which pairs stand in a journal.
const pairHandler = "pair"

// pair is a veth that was made, so that another process removes that one and no other:
// a number is used again in each namespace, and so is a name.
type pair struct {
	NetNS ethtool.NetNS    `json:"netns"`
	Name  string           `json:"name"`
	MAC   net.HardwareAddr `json:"mac"` // chosen at random
}

// newPair is a pair to be made in the calling thread's namespace.
func newPair(name string) (p pair, err error) {
	p = pair{Name: name, MAC: make(net.HardwareAddr, 6)}
	if _, err := rand.Read(p.MAC); err != nil {
		return p, err
	}
	p.MAC[0] = p.MAC[0]&^1 | 2 // of one interface, locally administered
	p.NetNS, err = ethtool.Identify(-1)
	return p, err
}

// remove removes it, if it is there.
func (p pair) remove() error {
	ns, err := p.NetNS.Open()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(ns)
	return ethtool.Do(ns, func() error {
		l, err := netlink.LinkByName(p.Name)
		if errors.As(err, &netlink.LinkNotFoundError{}) || err == nil && !bytes.Equal(l.Attrs().HardwareAddr, p.MAC) {
			return nil
		}
		if err == nil {
			err = netlink.LinkDel(l)
		}
		return err
	})
}

// makePair makes the veth between the NIC and the stack. It has no address and
// sends nothing of its own.
func (in *Inline) makePair(journal *netns.Journal, mtu int) error {
	name, card := stackName(in.near), cardName(in.near)
	what := "make veth " + name
	v := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: card, PeerMTU: uint32(mtu), PeerTxQLen: -1}
	v.Name, v.MTU = name, mtu
	made, err := newPair(name)
	if err != nil {
		return failure.Wrap(failure.Unexpected, err, what, "")
	}
	v.HardwareAddr = made.MAC
	change, err := json.Marshal(made)
	if err != nil {
		return failure.Wrap(failure.Unexpected, err, what, "")
	}
	err = journal.Step(netns.Entry{Kind: netns.KindSetting, Handler: pairHandler, Change: change, Text: "ip link add " + name + " type veth peer name " + card},
		func() error { return netlink.LinkAdd(v) })
	switch {
	case errors.Is(err, unix.EEXIST):
		return failure.New(failure.Conflict, what, "there is one: another meshnic is in front of this container, or was and died", "end that one; if it is dead: meshnic clean")
	case errors.Is(err, unix.EPERM):
		return failure.Wrap(failure.Privilege, err, what, "run as root (sudo)")
	case err != nil:
		return failure.Wrap(failure.Unexpected, err, what, "")
	}
	for _, n := range []string{name, card} {
		l, err := netlink.LinkByName(n)
		if err == nil {
			err = errors.Join(silence(n), netlink.LinkSetUp(l))
		}
		if err != nil {
			return failure.Wrap(failure.Unexpected, err, what, "")
		}
		if n == name {
			in.stack = l.Attrs().Index
		} else {
			in.card = l.Attrs().Index
		}
	}
	for _, n := range []string{name, card} {
		if err := carries(n); err != nil {
			return failure.Wrap(failure.Unexpected, err, what, "")
		}
	}
	return nil
}

// silence keeps IPv6 from neighbour discovery on an interface.
func silence(name string) error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	if errors.Is(err, os.ErrNotExist) { // a kernel without
		return nil
	}
	return err
}

// carries waits until an interface does.
func carries(name string) error {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if l.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("it is %v after 5 s", l.Attrs().OperState)
		}
	}
}

// keepNAPI has the near end keep its NAPI when the XDP program goes: without GRO the
// kernel would throw away what waits in front of it (veth_napi_del). GRO goes last, when the
// far end has its TSO again and nothing comes by NAPI any more
// (veth_skb_is_eligible_for_gro).
func (in *Inline) keepNAPI(journal *netns.Journal, veth string) error {
	ns, err := ethtool.Identify(-1)
	if err != nil {
		return err
	}
	_, err, unrecorded := ethtool.Turn(ethtool.Peer{NetNS: ns, Name: veth, Index: in.near}, true, recorder{journal}.Record, "rx-gro")
	return errors.Join(err, unrecorded)
}

// Divert has frames of both directions go through the NIC, which begins to run: until
// it does they wait in its rings.
func (in *Inline) Divert() (err error) {
	if err := in.links[1].Divert(true); err != nil {
		return err
	}
	if in.toCard, err = tcx.Open(tcx.Redirect{From: in.near, At: tcx.Egress, To: in.stack, As: tcx.Egress}); err != nil {
		return err
	}
	return in.links[0].Divert(true)
}

// Release has new frames go straight. Those under way still come to the NIC, which must run
// on until it has carried them.
func (in *Inline) Release() error {
	err := in.toCard.Close()
	return errors.Join(err, in.links[0].Divert(false))
}

// Gone reports whether the veth is no more: its container has ended.
func (in *Inline) Gone() bool {
	_, err := netlink.LinkByIndex(in.near)
	return errors.As(err, &netlink.LinkNotFoundError{})
}

// untie ends the redirects.
func (in *Inline) untie() error { return errors.Join(in.toCard.Close(), in.back.Close()) }
