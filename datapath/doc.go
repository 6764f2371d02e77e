// Package datapath is the card as hardware: a pipeline of stages that packets
// pass through. Everything here and below is deterministic: no goroutine, no
// clock, no system call, no net and no os. Time is an argument (sim.Cycle),
// losses have a DropReason, and a stage is tested by handing it a Packet.
//
// This package holds the words all stages share:
//
//	Packet      one frame with its bytes, where it came from, and where it goes
//	PHV         the packet header vector: what the parser extracted
//	Field       one field of the PHV, by name, for tables to match and set
//	Stage       one block of the pipeline
//	Verdict     what a stage decided: continue, forward, drop, punt
//	DropReason  why a packet was lost
//	Port        where frames enter and leave
//
// The stages live in packages of their own and never import each other:
// parser (bytes to PHV), matchaction (tables and actions), tcp (connection
// tracking), deparser (PHV back to bytes). Package nic puts them in a row.
// Below them, wire has the header views and checksums, sim has time.
package datapath
