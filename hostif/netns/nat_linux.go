package netns

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Balance lets connections that leave the namespace for an address of vips go
// to one of its backends. The choice is made once a connection, by its first
// packet: rule i of n takes it with chance 1/(n-i), so each backend has 1/n.
func Balance(ns string, vips []VIP) error {
	fd, err := vns.GetFromPath(Path(ns))
	if err != nil {
		return privilege(fmt.Errorf("%s: %w", Path(ns), err), "add NAT rules")
	}
	defer fd.Close()
	c, err := nftables.New(nftables.WithNetNSFd(int(fd)))
	if err != nil {
		return privilege(err, "add NAT rules in "+ns)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: BalanceTable})
	chain := c.AddChain(&nftables.Chain{Name: BalanceChain, Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest})
	for _, v := range vips {
		if err := CheckVIP(v); err != nil {
			return err
		}
		from := netip.MustParseAddrPort(v.Addr)
		for i, b := range v.Backends {
			exprs := append(matchTCP(from), oneIn(uint32(len(v.Backends)-i))...)
			exprs = append(exprs, dnat(netip.MustParseAddrPort(b))...)
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		}
	}
	return privilege(c.Flush(), "add NAT rules in "+ns)
}

// matchTCP matches TCP to an IPv4 address and port.
func matchTCP(to netip.AddrPort) []expr.Any {
	ip := to.Addr().As4()
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ip[:]},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, to.Port())},
	}
}

// oneIn matches one packet in n, at random.
func oneIn(n uint32) []expr.Any {
	if n <= 1 {
		return nil
	}
	return []expr.Any{
		&expr.Numgen{Register: 1, Modulus: n, Type: unix.NFT_NG_RANDOM},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, 0)},
	}
}

func dnat(to netip.AddrPort) []expr.Any {
	ip := to.Addr().As4()
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: ip[:]},
		&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, to.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}
}
