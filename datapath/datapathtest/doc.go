// Package datapathtest tests stages, those of this project and those of its
// users, in two ways. Run holds what a stage decides to rows of packet in, packet
// out, verdict. RunTimed holds a stage in time to the rules of AXI-Stream, to
// what it says of itself, and to one answer from both engines; a failure prints
// the wires around it and leaves a waveform. docs/stages.md has the contract.
//
// Frames are built byte by byte, with the right lengths and checksums unless told
// to lie:
//
//	Eth().VLAN(5).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "PA", Seq(7)).Payload("GET /")
//
// A layer's lengths, protocol numbers and checksums are filled in as the layers
// behind it are added. Methods that lie (Patch, TotalLen, BadL4Checksum, …)
// leave everything else alone and so come last.
package datapathtest
