// Package offload is the NIC's proxy: what proxy/mesh decides, carried out by
// datapath/tcp/splice. It is the second body of the brain whose first is
// proxy/sidecar, and reads the same configuration.
//
// The NIC answers for the addresses of the listeners, ARP included. A request to
// one of them is routed, balanced and rewritten as by the sidecar; where the
// endpoint's address is itself a listener's, that one's proxy has its turn in the
// same pass, so that a caller's and a callee's sidecar cost one hop. A listener that is
// transparent stands before a host behind the NIC: the host keeps its address, for which
// the NIC does not answer, and where a cluster of the listener's has that address as an
// endpoint, the host itself is meant.
//
// Where the sidecar has an object for each of its connections, the splice has the
// connection, and this package what is known of its request, by number. What the
// sidecar does with bytes, it decides about heads: nothing of a body comes here but
// the framing of chunks.
//
//	offload.go    the stage: segments to the splice, ARP, timers
//	config.go     listeners and clusters, and others in their place
//	neighbours.go who has which address, and where
//	upstreams.go  clusters, and their endpoints as the splice numbers them
//	flow.go       a client's connection, from its beginning to its end
//	request.go    a request: from head to endpoint, through one listener or more
//	filter.go     filters before the router
//	hold.go       requests that a fault holds back, or that wait in line
//	send.go       which endpoint, and whether there is room
//	response.go   a response: back through the same listeners
//	reply.go      answers of its own
//	absent.go     hosts that are not there
//	failures.go   what is said where there is no response
//	tries.go      tries again, of each leg by its own policy
//	due.go        what the time has come for
//	fallback.go   what is not carried here, and who carries it
//	explain.go    the same, told
//	observe.go    log entries
//	stats.go      counters
//	admin.go      the admin listener, and reloads, beside the NIC's thread
//	leave.go      the end of all connections, before the NIC goes
//	before.go     the file of a sidecar, for a NIC in front of its host
package offload
