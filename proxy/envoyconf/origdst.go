package envoyconf

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	originalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

const originalName = "envoy.filters.listener.original_dst"

// interception reads how l comes to its connections.
func interception(l *listenerv3.Listener) mesh.Interception {
	out := mesh.Interception{HandOver: l.GetUseOriginalDst().GetValue(), Transparent: l.GetTransparent().GetValue()}
	out.OriginalDst = out.HandOver // it includes the filter
	for _, f := range l.GetListenerFilters() {
		out.OriginalDst = out.OriginalDst || f.GetTypedConfig().MessageIs(&originalv3.OriginalDst{})
	}
	if b := l.GetBindToPort(); b != nil {
		out.Unbound = !b.GetValue()
	}
	return out
}

// intercept is the way back.
func intercept(out *listenerv3.Listener, i mesh.Interception) {
	if i.HandOver {
		out.UseOriginalDst = wrapperspb.Bool(true)
	}
	if i.Transparent {
		out.Transparent = wrapperspb.Bool(true)
	}
	if i.Unbound {
		out.BindToPort = wrapperspb.Bool(false)
	}
	if i.OriginalDst {
		filter, _ := anypb.New(&originalv3.OriginalDst{}) // an empty message is always encoded
		out.ListenerFilters = append(out.ListenerFilters, &listenerv3.ListenerFilter{
			Name: originalName, ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: filter},
		})
	}
}

// originalDst reads a cluster that has no endpoints of its own.
func (r *reader) originalDst(path string, c *clusterv3.Cluster, out *mesh.Cluster) {
	out.OriginalDst = c.GetType() == clusterv3.Cluster_ORIGINAL_DST
	provided := c.GetLbPolicy() == clusterv3.Cluster_CLUSTER_PROVIDED
	switch {
	case out.OriginalDst && !provided:
		r.fail(path+".lb_policy", "is %v, want CLUSTER_PROVIDED for the original destination", c.GetLbPolicy())
	case !out.OriginalDst && provided:
		r.fail(path+".lb_policy", "is CLUSTER_PROVIDED, which is for the original destination")
	}
	if out.OriginalDst {
		out.Policy = ""
	}
	if d := c.GetCleanupInterval(); d != nil {
		if out.Cleanup = r.duration(path+".cleanup_interval", d); out.Cleanup == 0 {
			r.fail(path+".cleanup_interval", "is 0, want more")
		}
	}
}
