package ethtool

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// Counters returns the driver's statistics by name ("rx_queue_0_drops").
func Counters(ns int, iface string) (map[string]uint64, error) {
	counters := map[string]uint64{}
	err := Do(ns, func() error {
		names, err := stringSet(iface, ssStats)
		if err != nil {
			return err
		}
		ne := binary.NativeEndian
		b := make([]byte, 8+8*len(names)) // struct ethtool_stats
		ne.PutUint32(b, unix.ETHTOOL_GSTATS)
		ne.PutUint32(b[4:], uint32(len(names)))
		if err := ioctl(iface, b); err != nil {
			return err
		}
		for i, name := range names {
			counters[name] = ne.Uint64(b[8+8*i:])
		}
		return nil
	})
	if err != nil {
		return nil, &hostif.OpError{Op: "read statistics of", Iface: iface, Err: err}
	}
	return counters, nil
}

// RxQueues returns how many receive queues an interface uses, 1 if its driver
// does not say.
func RxQueues(ns int, iface string) (int, error) {
	b := make([]byte, 9*4) // struct ethtool_channels: cmd, 4 maxima, rx, tx, other, combined
	ne := binary.NativeEndian
	ne.PutUint32(b, unix.ETHTOOL_GCHANNELS)
	err := Do(ns, func() error { return ioctl(iface, b) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return 1, nil
	}
	if err != nil {
		return 0, &hostif.OpError{Op: "read channels of", Iface: iface, Err: err}
	}
	return max(1, int(ne.Uint32(b[5*4:])+ne.Uint32(b[8*4:]))), nil
}
