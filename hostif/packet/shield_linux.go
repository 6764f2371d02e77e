package packet

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// shield drops what arrives on an interface behind the packet sockets, where
// the stack would begin: the netdev ingress hook comes after the taps. The
// table belongs to the netlink socket (NFT_TABLE_F_OWNER, Linux 5.12), so the
// kernel removes it with the process, however that ends. That is why it speaks
// netlink itself: the nftables module cannot set the flag.
type shield struct{ fd int }

const (
	nftTableOwner = 2       // NFT_TABLE_F_OWNER
	nestedAttr    = 1 << 15 // NLA_F_NESTED
	nfDrop        = 0       // NF_DROP
)

// newShield must run on a thread inside the interface's namespace.
func newShield(iface string) (*shield, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("packet: open nftables: %w", err)
	}
	// An owned table belongs to one socket, and one interface may have two links.
	var id [4]byte
	if _, err := unix.Getrandom(id[:], 0); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("packet: name a filter: %w", err)
	}
	if err := request(fd, batchFor(iface, fmt.Sprintf("meshnic-%x", id))); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("packet: nftables ingress filter: %w", err)
	}
	return &shield{fd}, nil
}

func (s *shield) close() {
	if s != nil {
		_ = unix.Close(s.fd)
	}
}

// batchFor is one transaction: a table that dies with the socket, and in it a
// base chain on the interface's ingress whose policy is to drop.
func batchFor(iface, table string) []byte {
	hook := be32(nil, unix.NFTA_HOOK_HOOKNUM, unix.NF_NETDEV_INGRESS)
	hook = be32(hook, unix.NFTA_HOOK_PRIORITY, 0)
	hook = text(hook, unix.NFTA_HOOK_DEV, iface)

	newTable := text(nil, unix.NFTA_TABLE_NAME, table)
	newTable = be32(newTable, unix.NFTA_TABLE_FLAGS, nftTableOwner)

	chain := text(nil, unix.NFTA_CHAIN_TABLE, table)
	chain = text(chain, unix.NFTA_CHAIN_NAME, "ingress")
	chain = attr(chain, unix.NFTA_CHAIN_HOOK|nestedAttr, hook)
	chain = be32(chain, unix.NFTA_CHAIN_POLICY, nfDrop)
	chain = text(chain, unix.NFTA_CHAIN_TYPE, "filter")

	const nft = unix.NFNL_SUBSYS_NFTABLES << 8
	create := uint16(unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE)
	b := message(nil, unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
	b = message(b, nft|unix.NFT_MSG_NEWTABLE, create, unix.NFPROTO_NETDEV, 0, newTable)
	b = message(b, nft|unix.NFT_MSG_NEWCHAIN, create, unix.NFPROTO_NETDEV, 0, chain)
	return message(b, unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
}

// request sends the transaction and reads the two acknowledgements.
func request(fd int, b []byte) error {
	timeout := unix.Timeval{Sec: 5}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 8192)
	for acks := 0; acks < 2; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for m := buf[:n]; len(m) >= unix.SizeofNlMsghdr+4; {
			size := int(binary.NativeEndian.Uint32(m))
			if size < unix.SizeofNlMsghdr+4 || size > len(m) {
				return fmt.Errorf("answer of %d bytes in %d", size, len(m))
			}
			if binary.NativeEndian.Uint16(m[4:]) == unix.NLMSG_ERROR {
				if errno := int32(binary.NativeEndian.Uint32(m[unix.SizeofNlMsghdr:])); errno != 0 {
					return unix.Errno(-errno)
				}
				acks++
			}
			m = m[min(len(m), (size+3)&^3):]
		}
	}
	return nil
}

// message appends a netlink message with its nfgenmsg.
func message(b []byte, typ, flags uint16, family byte, res uint16, attrs []byte) []byte {
	ne := binary.NativeEndian
	b = ne.AppendUint32(b, uint32(unix.SizeofNlMsghdr+4+len(attrs)))
	b = ne.AppendUint16(b, typ)
	b = ne.AppendUint16(b, flags)
	b = append(b, make([]byte, 8)...) // sequence, port
	b = append(b, family, unix.NFNETLINK_V0, byte(res>>8), byte(res))
	return append(b, attrs...)
}

func attr(b []byte, typ uint16, v []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(v)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func text(b []byte, typ uint16, s string) []byte { return attr(b, typ, append([]byte(s), 0)) }

func be32(b []byte, typ uint16, v uint32) []byte {
	return attr(b, typ, binary.BigEndian.AppendUint32(nil, v))
}
