package container

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/internal/failure"
)

// Place is where a container is tied to this host.
type Place struct {
	Inside string   // its interface
	Veth   string   // the other end, in the caller's namespace
	Addrs  []string // of Inside, such as 172.17.0.2/16
}

// Place finds the near end of the container's veth; iface says which of its
// interfaces, if it has several.
func (c *Container) Place(iface string) (Place, error) {
	what := "find the interface of " + c.String()
	if c.Host {
		return Place{}, onHost(what)
	}
	ns, err := c.open()
	if err != nil {
		return Place{}, err
	}
	defer unix.Close(ns)
	here, err := ethtool.Identify(-1)
	if err != nil {
		return Place{}, err
	}
	if there, err := ethtool.Identify(ns); err != nil || there.Inode == here.Inode {
		if err == nil {
			err = onHost(what)
		}
		return Place{}, err
	}
	links, err := linksOf(ns)
	if err != nil {
		return Place{}, failure.Wrap(failure.Unexpected, err, what, "")
	}
	p, err := choose(what, links, iface)
	if err != nil {
		return Place{}, err
	}
	peer, err := ethtool.FindPeer(ns, p.Inside)
	switch {
	case errors.Is(err, ethtool.ErrNoPeer):
		return Place{}, failure.Wrap(failure.Unsupported, err, what, "a NIC can be put in the way of a veth: of a bridge's network, not of macvlan, ipvlan or a device of its own")
	case err != nil:
		return Place{}, failure.Wrap(failure.Unexpected, err, what, "")
	case peer.NetNS.Inode != here.Inode:
		return Place{}, failure.New(failure.Unsupported, what, "the other end of its "+p.Inside+" is in another network namespace, "+peer.NetNS.Path,
			"run meshnic there: sudo nsenter --net="+peer.NetNS.Path+" meshnic attach ...")
	}
	p.Veth = peer.Name
	return p, nil
}

func onHost(what string) error {
	return failure.New(failure.Usage, what, "it uses the host's network, and has no interface of its own",
		"put the NIC on interfaces of the host: meshnic attach --port a=IF --port b=IF")
}

// open opens the container's network namespace.
func (c *Container) open() (int, error) {
	what := "enter the network of " + c.String()
	paths := []string{c.NetNS}
	if c.Pid > 0 {
		paths = append([]string{fmt.Sprintf("/proc/%d/ns/net", c.Pid)}, paths...)
	}
	var first error
	for _, p := range paths {
		if p == "" {
			continue
		}
		fd, err := unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			return fd, nil
		}
		if first == nil {
			first = fmt.Errorf("%s: %w", p, err)
		}
	}
	switch {
	case first == nil:
		return -1, failure.New(failure.Usage, what, "it is not running: "+c.State, "start it first")
	case errors.Is(first, fs.ErrPermission):
		return -1, failure.Wrap(failure.Privilege, first, what, "run as root (sudo)")
	case errors.Is(first, fs.ErrNotExist):
		return -1, failure.Wrap(failure.Usage, first, what, "is this the runtime's host? In a pod, it needs hostPID: true")
	}
	return -1, failure.Wrap(failure.Unexpected, first, what, "")
}

// link is one of a container's interfaces.
type link struct {
	name, kind string
	addrs      []string
}

func (l link) String() string {
	if len(l.addrs) == 0 {
		return l.name
	}
	return l.name + " (" + strings.Join(l.addrs, ", ") + ")"
}

// linksOf lists the interfaces of a namespace, without loopback and those that are
// down, such as the tunnels that a kernel has made.
func linksOf(ns int) (all []link, err error) {
	err = ethtool.Do(ns, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			a := l.Attrs()
			if a.RawFlags&unix.IFF_LOOPBACK != 0 || a.RawFlags&unix.IFF_UP == 0 {
				continue
			}
			addrs, err := netlink.AddrList(l, netlink.FAMILY_V4)
			if err != nil {
				return err
			}
			one := link{name: a.Name, kind: l.Type()}
			for _, x := range addrs {
				one.addrs = append(one.addrs, x.IPNet.String())
			}
			all = append(all, one)
		}
		return nil
	})
	return all, err
}

// choose picks one of a container's interfaces.
func choose(what string, links []link, iface string) (Place, error) {
	var list []string
	for _, l := range links {
		list = append(list, l.String())
	}
	if iface != "" {
		i := slices.IndexFunc(links, func(l link) bool { return l.name == iface })
		if i < 0 {
			return Place{}, failure.New(failure.Usage, what, "it has no interface "+iface, "choose one it has: "+strings.Join(list, ", "))
		}
		links = links[i : i+1]
	}
	switch len(links) {
	case 0:
		return Place{}, failure.New(failure.Usage, what, "it has none but loopback", "connect it to a network: docker network connect NETWORK CONTAINER")
	case 1:
		return Place{Inside: links[0].name, Addrs: links[0].addrs}, nil
	}
	return Place{}, failure.New(failure.Usage, what, "it is on several networks: "+strings.Join(list, ", "), "choose one: --interface "+links[0].name)
}
