// Package parser is the stage that turns bytes into the packet header vector.
// What can follow what is data, a Graph: each state extracts one header, and a
// field of it (EtherType or IP protocol) selects the next state. What a header
// must satisfy is code, one rule a case.
//
// Frames pass unless a rule says otherwise:
//
//	frame shorter than 14 bytes                        drop runt
//	frame from 14 to 59 bytes (veth does not pad)      pass
//	frame longer than the port carries                 mac drops it: overlong
//	bytes behind the IP packet (padding)               pass, not part of the payload
//	EtherType unknown, or a length (802.3)             pass, payload begins behind it
//	VLAN tag cut off                                   drop vlan_truncated
//	third VLAN tag                                     pass as an unknown EtherType
//	VLAN id 0 (priority tag)                           pass, VLAN is 0
//	ARP cut off, or for IPv4 over Ethernet with
//	other address lengths than 6 and 4                 drop arp_malformed
//	ARP for other networks, unknown operation          pass
//	IP header cut off                                  drop ip_truncated
//	IP version does not agree with the EtherType       drop ip_version
//	IPv4 IHL below 5, or beyond the total length       drop ip_header_len
//	IPv4 total length below 20, or beyond the frame    drop ip_length
//	IPv4 header checksum wrong                         drop ip_checksum *
//	IPv4 options                                       pass; those that do not parse too
//	IPv6 payload length beyond the frame               drop ip_length
//	IPv6 extension header cut off, or more than eight  drop ip_ext_chain
//	IPv6 hop-by-hop options not first                  pass as an unknown protocol
//	IPv6 no next header                                pass
//	IP protocol unknown, ESP                           pass, payload begins behind IP
//	fragment other than the first                      pass, no L4 header
//	first fragment without a whole L4 header           drop l4_truncated (RFC 1858, RFC 7112)
//	TCP, UDP or ICMP header cut off                    drop l4_truncated
//	TCP data offset below 5, or beyond the packet      drop tcp_header_len
//	TCP options that do not parse                      pass
//	UDP length below 8, or beyond the packet           drop udp_length
//	UDP length below what IP carries                   pass, the rest is not payload
//	TCP, UDP, ICMP or ICMPv6 checksum wrong            drop l4_checksum *
//	UDP checksum 0                                     pass, over IPv6 too (RFC 6935)
//	TTL or hop limit 0, addresses that make no sense   pass: the card does not route
//
// The rules marked * hold with Config.VerifyChecksums. An L4 checksum is not
// looked at if the sender left it to a device (Packet.CsumPartial), if the frame
// stands for several segments (GSOSize > 0), if the packet is a fragment (the sum
// covers the whole datagram), or if a source route has hops to go (the sum
// covers the last one). The Home Address option of Mobile IPv6 (RFC 6275
// §11.3.1), which also changes the address that is covered, is not known.
//
// A frame with GSOSize > 0 may be longer than IP's length field can say; the
// field is then 0 and the frame's length counts. Its UDP length is not checked.
package parser
