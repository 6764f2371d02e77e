package envoyconf

import (
	"fmt"
	"maps"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// optionsName is Envoy's name of what a cluster says of its HTTP connections.
const optionsName = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// protocol reads what a cluster says of its connections, at HTTP/1.1: how long they
// may idle, nil if that is left out.
func (r *reader) protocol(path string, configs map[string]*anypb.Any) (idle *time.Duration) {
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		p := path + "." + name
		var o httpv3.HttpProtocolOptions
		if name != optionsName || configs[name].UnmarshalTo(&o) != nil {
			r.fail(p, "is not %s by that name", optionsName)
			continue
		}
		if o.GetExplicitHttpConfig().GetHttpProtocolOptions() == nil {
			r.fail(p, "has no explicit_http_config with http_protocol_options: {}, which is HTTP/1.1")
		}
		if d := o.GetCommonHttpProtocolOptions().GetIdleTimeout(); d != nil {
			idle = new(r.duration(p+".common_http_protocol_options.idle_timeout", d))
		}
	}
	return idle
}

// writeProtocol is the way back.
func writeProtocol(out *clusterv3.Cluster, c *mesh.Cluster) error {
	if c.Idle == nil {
		return nil
	}
	config, err := anypb.New(&httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(*c.Idle)},
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
		}},
	})
	if err != nil {
		return fmt.Errorf("envoyconf: cluster %s: %w", c.Name, err)
	}
	out.TypedExtensionProtocolOptions = map[string]*anypb.Any{optionsName: config}
	return nil
}
