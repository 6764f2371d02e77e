package ethtool

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// Toggle turns some features of one interface on and off again and again: one
// call of 0.1 ms, where Apply looks everything up anew. It writes nothing down:
// whoever toggles has recorded the changes. It is used by one goroutine.
type Toggle struct {
	fd    int // a socket of the interface's namespace, which the ioctl goes by
	index int
	iface string   // when it was looked up, for people
	mask  []uint32 // the features' bits, by block
}

// NewToggle prepares to switch features of an interface. Those that it lacks
// are left out.
func NewToggle(p Peer, features ...string) (*Toggle, error) {
	t := &Toggle{}
	err := p.do(func(iface string) (err error) {
		names, err := stringSet(iface, ssFeatures)
		if err != nil {
			return &hostif.OpError{Op: "read features of", Iface: iface, Err: err}
		}
		t.mask = make([]uint32, (len(names)+31)/32)
		for _, f := range features {
			if i := slices.Index(names, f); i >= 0 {
				t.mask[i/32] |= 1 << (i % 32)
			}
		}
		t.iface, t.index = iface, p.Index
		t.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Set switches all of them.
func (t *Toggle) Set(on bool) error {
	ne := binary.NativeEndian
	b := make([]byte, 8+len(t.mask)*8) // struct ethtool_sfeatures: valid, requested
	ne.PutUint32(b, unix.ETHTOOL_SFEATURES)
	ne.PutUint32(b[4:], uint32(len(t.mask)))
	for i, m := range t.mask {
		ne.PutUint32(b[8+i*8:], m)
		if on {
			ne.PutUint32(b[12+i*8:], m)
		}
	}
	name, err := t.name()
	if err == nil {
		err = ioctlBy(t.fd, name, b)
	}
	if err != nil {
		return &hostif.OpError{Op: "switch features of", Iface: t.iface, Err: err}
	}
	return nil
}

// name is the interface's name of now: another may have that of before.
func (t *Toggle) name() (string, error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	ifr.SetUint32(uint32(t.index))
	if err := unix.IoctlIfreq(t.fd, unix.SIOCGIFNAME, ifr); err != nil {
		return "", err
	}
	return ifr.Name(), nil
}

// Close forgets the interface, whose features stay as they are.
func (t *Toggle) Close() error { return unix.Close(t.fd) }
