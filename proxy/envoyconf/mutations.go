package envoyconf

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// mutating is what Envoy's routes, virtual hosts and route configurations have in
// common.
type mutating interface {
	GetRequestHeadersToAdd() []*corev3.HeaderValueOption
	GetRequestHeadersToRemove() []string
	GetResponseHeadersToAdd() []*corev3.HeaderValueOption
	GetResponseHeadersToRemove() []string
}

func (r *reader) mutations(path string, m mutating) (out mesh.HeaderMutations) {
	out.Request = mesh.Mutations{Remove: m.GetRequestHeadersToRemove(), Add: r.headerValues(path+".request_headers_to_add", m.GetRequestHeadersToAdd())}
	out.Response = mesh.Mutations{Remove: m.GetResponseHeadersToRemove(), Add: r.headerValues(path+".response_headers_to_add", m.GetResponseHeadersToAdd())}
	return out
}

func (r *reader) headerValues(path string, list []*corev3.HeaderValueOption) (out []mesh.HeaderValue) {
	for i, h := range list {
		r.format(fmt.Sprintf("%s[%d].header.value", path, i), h.GetHeader().GetValue())
		x := mesh.HeaderValue{Name: h.GetHeader().GetKey(), Value: h.GetHeader().GetValue(), KeepEmpty: h.GetKeepEmptyValue()}
		if a := mesh.AppendAction(h.GetAppendAction().String()); a != mesh.AppendOrAdd {
			x.Action = a
		}
		out = append(out, x)
	}
	return out
}

// headerOptions is the way back.
func headerOptions(list []mesh.HeaderValue) (out []*corev3.HeaderValueOption) {
	for _, h := range list {
		out = append(out, &corev3.HeaderValueOption{
			Header:         &corev3.HeaderValue{Key: h.Name, Value: h.Value},
			AppendAction:   corev3.HeaderValueOption_HeaderAppendAction(corev3.HeaderValueOption_HeaderAppendAction_value[string(h.Action)]), // appending is 0
			KeepEmptyValue: h.KeepEmpty,
		})
	}
	return out
}
