package datapath

import "github.com/meshnic/meshnic/datapath/wire"

// Header is one bit of PHV.Headers.
type Header uint16

// The headers the parse graph knows.
const (
	HdrEthernet Header = 1 << iota
	HdrVLAN            // one 802.1Q tag
	HdrQinQ            // a second tag inside the first
	HdrARP
	HdrIPv4
	HdrIPv6
	HdrIPv6Ext // at least one IPv6 extension header
	HdrICMP    // ICMP or ICMPv6
	HdrUDP
	HdrTCP
	HdrFragment // an IP fragment other than the first: no L4 header

	HdrMoreFragments // an IP fragment that another follows: its L4 checksum covers more than it
	HdrSourceRoute   // an IP source route with hops to go: the L4 checksum covers another address than IPDst
)

// PHV is the packet header vector: what the parser extracted, in host byte
// order, and where each header starts. Fields of headers that are not in
// Headers are zero. Addresses are 16 bytes; IPv4 is mapped (::ffff:a.b.c.d).
type PHV struct {
	Headers Header

	L3Off      uint16 // bytes from Data[0] to the IP or ARP header
	L4Off      uint16 // bytes from Data[0] to the L4 header
	PayloadOff uint16 // bytes from Data[0] to the L4 payload
	PayloadLen uint32 // bytes of L4 payload, by the IP header's length, padding excluded

	EthDst, EthSrc wire.MAC
	EtherType      uint16 // of the innermost tag
	VLAN           uint16 // VLAN id of the outer tag, 0 if untagged

	IPSrc, IPDst [16]byte
	Proto        uint8 // IP protocol after extension headers
	TTL          uint8 // or hop limit

	SrcPort, DstPort uint16 // TCP, UDP
	TCPFlags         wire.TCPFlags
	TCPSeq, TCPAck   wire.Seq
	TCPWindow        uint16 // as on the wire, not scaled

	Dirty FieldSet // fields that differ from the bytes, for the deparser to write
}

// Has reports whether all headers in h were found.
func (p *PHV) Has(h Header) bool { return p.Headers&h == h }

// DropReason says why a packet was lost. Every reason has a counter of the
// same name.
type DropReason uint8

// The reasons. DropNone is not a loss.
const (
	DropNone          DropReason = iota
	DropRunt                     // shorter than an Ethernet header
	DropOverlong                 // longer than the port's largest frame
	DropVLANTruncated            // 802.1Q tag does not fit
	DropARPMalformed             // ARP for IPv4 over Ethernet does not fit or lies about its lengths
	DropIPTruncated              // IP header does not fit
	DropIPVersion                // version field disagrees with the EtherType
	DropIPHeaderLen              // IHL below 5, or beyond the total length
	DropIPLength                 // total length lies: beyond the frame, or shorter than the header
	DropIPChecksum               // IPv4 header checksum is wrong
	DropIPExtChain               // IPv6 extension chain does not fit or is too long
	DropL4Truncated              // TCP, UDP or ICMP header does not fit
	DropTCPHeaderLen             // data offset below 5, or beyond the segment
	DropUDPLength                // UDP length lies
	DropL4Checksum               // TCP, UDP or ICMP checksum is wrong
	DropTable                    // a match-action table said drop
	DropNoEgress                 // the eSwitch found nowhere to send it (only member of its VLAN, hairpin off)
	DropEgressFull               // the egress port's queue was full
	DropMirrorFull               // a mirrored copy did not fit; the packet itself went on
	DropSourceMAC                // source address is multicast or zero
	DropNoHost                   // punted, and no host is attached to take it
	DropOffload                  // unfinished work (segmentation, checksum) that the egress port cannot pass on and software cannot do
	DropNoRoom                   // the frame's memory cannot take a pushed VLAN tag
	NumDropReasons               // number of reasons, for counter arrays
)

var dropNames = [NumDropReasons]string{
	"none", "runt", "overlong", "vlan_truncated", "arp_malformed", "ip_truncated", "ip_version",
	"ip_header_len", "ip_length", "ip_checksum", "ip_ext_chain", "l4_truncated", "tcp_header_len",
	"udp_length", "l4_checksum", "table", "no_egress", "egress_full", "mirror_full", "source_mac",
	"no_host", "offload", "no_room",
}

// String returns the counter's name.
func (r DropReason) String() string {
	if r < NumDropReasons {
		return dropNames[r]
	}
	return "unknown"
}
