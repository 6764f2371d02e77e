package nic

import (
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/internal/failure"
)

// StaticMAC is an eSwitch entry that is neither learned over nor aged out.
type StaticMAC struct {
	VLAN uint16 // 0: untagged
	MAC  wire.MAC
	Port string // a port's name
}

// ParseStatic reads MAC=PORT or MAC@VLAN=PORT.
func ParseStatic(s string) (StaticMAC, error) {
	bad := func() (StaticMAC, error) {
		return StaticMAC{}, failure.Usagef("static entry %q: want MAC=PORT or MAC@VLAN=PORT, for example 02:00:00:00:00:01@5=a", s)
	}
	addr, port, ok := strings.Cut(s, "=")
	if !ok || port == "" {
		return bad()
	}
	e := StaticMAC{Port: port}
	if mac, vlan, tagged := strings.Cut(addr, "@"); tagged {
		id, err := strconv.ParseUint(vlan, 10, 16)
		if err != nil || id < 1 || id > 4094 {
			return bad()
		}
		addr, e.VLAN = mac, uint16(id)
	}
	mac, err := wire.ParseMAC(addr)
	if err != nil {
		return bad()
	}
	e.MAC = mac
	return e, nil
}
