package mesh

// Why a proxy on a NIC, which sees heads and keeps no payload, leaves a part of a
// configuration to one on the host: in messages, without a full stop.
const (
	NoTLS           = "TLS needs the payload, and the NIC keeps none"
	NoUpstreamTLS   = "TLS to endpoints needs the payload, and the NIC keeps none"
	NoTCPProxy      = "a TCP proxy has no heads to decide by"
	NoHealthCheck   = "its endpoints are asked how they are, and the NIC has no TCP stack to ask with"
	NoConnectionLog = "it has a log of connections, and the NIC has logs of requests alone"
)
