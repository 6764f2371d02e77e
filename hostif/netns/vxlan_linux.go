package netns

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// AddVXLAN makes a VXLAN device that learns nothing: AddRemote says where its
// frames go.
func AddVXLAN(ns string, v VXLAN) error {
	return at(ns, "make VXLAN device "+v.Name+" in "+ns, func(h *netlink.Handle) error {
		mac, err := parseMAC(v.MAC)
		if err != nil {
			return err
		}
		over, err := h.LinkByName(v.Over)
		if err != nil {
			return err
		}
		d := &netlink.Vxlan{LinkAttrs: netlink.NewLinkAttrs(), VxlanId: v.ID, VtepDevIndex: over.Attrs().Index,
			SrcAddr: net.IP(v.Local.AsSlice()), Port: v.Port}
		d.Name, d.MTU, d.HardwareAddr = v.Name, v.MTU, mac
		return h.LinkAdd(d)
	})
}

// AddRemote has a VXLAN device send frames for a hardware address to a node.
func AddRemote(ns, name, mac string, node netip.Addr) error {
	return onLink(ns, name, "send frames for "+mac+" to "+node.String()+" by", func(h *netlink.Handle, l netlink.Link) error {
		hw, err := net.ParseMAC(mac)
		if err != nil {
			return err
		}
		return h.NeighAppend(&netlink.Neigh{LinkIndex: l.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_PERMANENT, Flags: netlink.NTF_SELF,
			HardwareAddr: hw, IP: node.AsSlice()})
	})
}
