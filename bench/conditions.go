package bench

import (
	"fmt"
	"strings"

	"github.com/meshnic/meshnic/nic"
)

// conditions says what the proxies or NICs of a system do with a request, so that
// what is compared is known to be the same work, or not.
func (r *Run) conditions(experiment, system string) string {
	c, ok := special[[2]string{experiment, system}]
	if !ok {
		c = usual[system]
	}
	if counts(system) {
		c += fmt.Sprintf(". The card's cycles are counted as long as that takes a share of %g of the time, else of whole stretches of the traffic (model_ns.share)", nic.DefaultModelShare)
	}
	if r.AccessLog {
		c = strings.Replace(c, noLog, "; a line a request in an access log", 1)
	}
	return c
}

// counts reports whether a system's NIC counts the cycles of a card.
func counts(system string) bool {
	_, is, _ := strings.Cut(system, "nic_")
	return is != "" && is != "null" && is != "offload_untimed"
}

const noLog = "; no access log"

// meshWork is what all that read an Envoy bootstrap do by it.
const meshWork = "HTTP/1.1 routed by host and path, ROUND_ROBIN, Envoy's headers and stats, connections to endpoints kept" + noLog

var usual = map[string]string{
	"linux_bridge":             "the kernel's bridge; nothing of TCP or HTTP",
	"nic_null":                 "frames are copied from port to port",
	"nic_passthrough":          "learning switch and TCP tracker; nothing of HTTP, nothing rewritten; TCP between known addresses is carried by the kernel, the NIC sees headers",
	"nic_passthrough_xdp":      "as nic_passthrough, over AF_XDP",
	"nic_passthrough_slowpath": "as nic_passthrough_xdp, but each frame goes through user space, its TCP checksum is verified too",
	"nic_passthrough_tap":      "as nic_passthrough_slowpath, over TAP",
	"nic_passthrough_packet":   "as nic_passthrough_slowpath, over AF_PACKET",
	"nic_offload":              "on the NIC, by the sidecar's bootstrap: " + meshWork + ". Bodies and acknowledgements go end to end",
	"nic_offload_untimed":      "as nic_offload, and the card's cycles are not counted: the proxy as a program by itself",
	"sidecar":                  meshWork,
	"envoy":                    meshWork,
	"haproxy":                  "HTTP/1.1 to one server, x-forwarded-proto and x-request-id, connections kept" + noLog,
	"haproxy_tcp":              "bytes of a connection copied to another one",
	"nginx":                    "HTTP/1.1 to one server, x-forwarded-proto and x-request-id, connections kept" + noLog,
}

// clusterWork is what a sidecar in a cluster does.
const clusterWork = "at caller and callee, whose connections nftables redirects to it: mutual TLS, HTTP/1.1 routed by authority, LEAST_REQUEST, Istio's retries, " +
	"Envoy's headers and stats, connections to endpoints kept, Istio's access log; two workers each. The client has none"

var special = map[[2]string]string{
	{"hop", "sidecar"}:                     meshWork + "; one worker",
	{"hop", "envoy"}:                       meshWork + "; one worker",
	{"bookinfo", "without_envoy"}:          "nobody balances: every page has reviews-v3, as in the paper",
	{"bookinfo", "without_envoy_balanced"}: "nftables picks a version of reviews at random for each connection",
	{"bookinfo", "k8s_without_istio"}:      "kube-proxy's nftables rules pick a pod at random for each connection; services are found by name",
	{"bookinfo", "k8s_sidecar"}:            clusterWork,
	{"bookinfo", "k8s_with_istio"}:         clusterWork,
	{"bookinfo", "k8s_nic_offload"}: "one NIC of the node has caller's and callee's listeners of all pods, by Istio's configuration: HTTP/1.1 routed by authority, LEAST_REQUEST, " +
		"Istio's retries, Envoy's headers and stats, connections to endpoints kept, Istio's access log. No TLS between pods, which are all behind it; bodies and acknowledgements " +
		"go end to end. The client is not behind it: kube-proxy's rules lead it to productpage",
	{"bookinfo", "without_envoy_one_core"}: "as without_envoy; everything on one core",
	{"bookinfo", "envoy_one_core"}:         "as envoy; everything on one core",
	{"bookinfo", "envoy_one_worker"}:       "as envoy; one worker each",
	{"bookinfo", "envoy_no_reuse"}:         "as envoy; connections to endpoints closed after a request (max_requests_per_connection: 1)",
	{"bookinfo", "sidecar_inbound"}:        "at the callee, reviews behind one in front of its versions: " + meshWork + "; two workers each",
	{"bookinfo", "envoy_inbound"}:          "at the callee, reviews behind one in front of its versions: " + meshWork + "; two workers each",
	{"bookinfo", "sidecar"}:                "at caller and callee: " + meshWork + "; two workers each",
	{"bookinfo", "envoy"}:                  "at caller and callee: " + meshWork + "; two workers each",
	{"bookinfo", "nic_passthrough"}:        "learning switch and TCP tracker; TCP between known addresses is carried by the kernel, the NIC sees headers; nothing of HTTP; nftables balances reviews as in without_envoy_balanced",
	{"bookinfo", "nic_offload"}:            "one NIC has caller's and callee's listeners of all pods, by the sidecar's configuration: " + meshWork + ". Bodies and acknowledgements go end to end",
}
