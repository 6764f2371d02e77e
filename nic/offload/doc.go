// Package offload is the NIC's proxy: what proxy/mesh decides, carried out by
// datapath/tcp/splice. It is the second body of the brain whose first is
// proxy/sidecar, and reads the same configuration.
//
// The NIC answers for the addresses of the listeners, ARP included. A request to
// one of them is routed, balanced and rewritten as by the sidecar; where the
// endpoint's address is itself a listener's, that one's proxy has its turn in the
// same pass, so that a caller's and a callee's sidecar cost one hop.
//
//	offload.go    the stage: segments to the splice, ARP, timers
//	neighbours.go who has which address, and where
//	upstreams.go  clusters, and their endpoints as the splice numbers them
//	request.go    a request: from head to endpoint, through one listener or more
//	response.go   a response: back through the same listeners
//	failures.go   what is said where there is no response, and tries again
package offload
