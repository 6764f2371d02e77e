// Package datapathtest builds frames for tests, byte by byte and with the right
// lengths and checksums unless told to lie, and runs one stage over rows of
// packet in, packet out, verdict.
//
//	Eth().VLAN(5).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "PA", Seq(7)).Payload("GET /")
//
// A layer's lengths, protocol numbers and checksums are filled in as the layers
// behind it are added. Methods that lie (Patch, TotalLen, BadL4Checksum, …)
// leave everything else alone and so come last.
package datapathtest
