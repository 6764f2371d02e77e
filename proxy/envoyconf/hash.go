package envoyconf

import (
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

func (r *reader) hashPolicy(path string, h *routev3.RouteAction_HashPolicy) mesh.HashPolicy {
	c := h.GetCookie()
	out := mesh.HashPolicy{
		Header: h.GetHeader().GetHeaderName(), Cookie: c.GetName(), Query: h.GetQueryParameter().GetName(),
		SourceIP: h.GetConnectionProperties().GetSourceIp(), Terminal: h.GetTerminal(),
	}
	if h.GetConnectionProperties() != nil && !out.SourceIP {
		r.fail(path+".connection_properties", "has no source_ip: true")
	}
	switch {
	case c.GetTtl() != nil:
		// What is less than a second counts for nothing, as with Envoy.
		out.Give = &mesh.GivenCookie{TTL: r.duration(path+".cookie.ttl", c.GetTtl()).Truncate(time.Second), Path: c.GetPath()}
		for _, a := range c.GetAttributes() {
			out.Give.Attributes = append(out.Give.Attributes, mesh.CookieAttribute{Name: a.GetName(), Value: a.GetValue()})
		}
	case c.GetPath() != "", c.GetAttributes() != nil:
		r.fail(path+".cookie", "has a path or attributes and no ttl, without which no cookie is given")
	}
	return out
}

// hashPolicies is the way back.
func hashPolicies(list []mesh.HashPolicy) (out []*routev3.RouteAction_HashPolicy) {
	for _, p := range list {
		x := &routev3.RouteAction_HashPolicy{Terminal: p.Terminal}
		switch {
		case p.Cookie != "":
			c := &routev3.RouteAction_HashPolicy_Cookie{Name: p.Cookie}
			if g := p.Give; g != nil {
				c.Ttl, c.Path = durationpb.New(g.TTL), g.Path
				for _, a := range g.Attributes {
					c.Attributes = append(c.Attributes, &routev3.RouteAction_HashPolicy_CookieAttribute{Name: a.Name, Value: a.Value})
				}
			}
			x.PolicySpecifier = &routev3.RouteAction_HashPolicy_Cookie_{Cookie: c}
		case p.Query != "":
			x.PolicySpecifier = &routev3.RouteAction_HashPolicy_QueryParameter_{QueryParameter: &routev3.RouteAction_HashPolicy_QueryParameter{Name: p.Query}}
		case p.SourceIP:
			x.PolicySpecifier = &routev3.RouteAction_HashPolicy_ConnectionProperties_{ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true}}
		default:
			x.PolicySpecifier = &routev3.RouteAction_HashPolicy_Header_{Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: p.Header}}
		}
		out = append(out, x)
	}
	return out
}
