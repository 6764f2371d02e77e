// Package conformance has conversations with a proxy in named text files, and
// holds them with whichever proxy it is told the address of: the host sidecar, the
// NIC's offload, the real Envoy. See Case for the files' language.
//
//	case.go     a file: its steps, and what each proxy shows in them
//	world.go    one bootstrap file for all cases
//	play.go     a conversation
//	peer.go     what a client or a server does
//	server.go   the servers of a case
//	outcome.go  counters and access logs
//	again.go    what is shown once more on a busy machine
package conformance
