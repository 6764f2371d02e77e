package envoyconf

import (
	"fmt"
	"maps"
	"slices"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

func (r *reader) httpFault(path string, f *faultv3.HTTPFault) *mesh.Fault {
	out := &mesh.Fault{Cluster: f.GetUpstreamCluster(), Nodes: f.GetDownstreamNodes()}
	if d := f.GetDelay(); d != nil {
		out.Delay = &mesh.FaultDelay{Percentage: fraction(d.GetPercentage())}
		switch x := d.GetFaultDelaySecifier().(type) {
		case *commonv3.FaultDelay_FixedDelay:
			if out.Delay.Fixed = r.duration(path+".delay.fixed_delay", x.FixedDelay); out.Delay.Fixed == 0 {
				r.fail(path+".delay.fixed_delay", "is 0, want more")
			}
		case nil:
			r.fail(path+".delay", "has neither fixed_delay nor header_delay")
		}
	}
	if a := f.GetAbort(); a != nil {
		out.Abort = &mesh.FaultAbort{Percentage: fraction(a.GetPercentage()), Body: a.GetResponseBody()}
		switch x := a.GetErrorType().(type) {
		case *faultv3.FaultAbort_HttpStatus:
			if out.Abort.Status = int(x.HttpStatus); out.Abort.Status == 0 {
				r.fail(path+".abort.http_status", "is 0, want 200 to 599")
			}
		case nil:
			r.fail(path+".abort", "has neither http_status nor header_abort")
		}
	}
	for i, h := range f.GetHeaders() {
		out.Headers = append(out.Headers, r.header(fmt.Sprintf("%s.headers[%d]", path, i), h))
	}
	if f.GetMaxActiveFaults() != nil {
		out.MaxActive = new(f.GetMaxActiveFaults().GetValue())
	}
	return out
}

// perFilter reads what a route or a virtual host has in the place of the listener's
// filters: of faults, by their name there.
func (r *reader) perFilter(path string, configs map[string]*anypb.Any) (out *mesh.Fault) {
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		p := path + ".typed_per_filter_config." + name
		var f faultv3.HTTPFault
		if name != r.fault || configs[name].UnmarshalTo(&f) != nil {
			r.fail(p, "is not a fault that has the name of one among http_filters, which is %q", r.fault)
			continue
		}
		out = r.httpFault(p, &f)
	}
	return out
}

// httpFault is the way back.
func httpFault(f *mesh.Fault) *faultv3.HTTPFault {
	out := &faultv3.HTTPFault{UpstreamCluster: f.Cluster, DownstreamNodes: f.Nodes}
	if d := f.Delay; d != nil {
		out.Delay = &commonv3.FaultDelay{Percentage: percent(d.Percentage), FaultDelaySecifier: &commonv3.FaultDelay_FixedDelay{FixedDelay: durationpb.New(d.Fixed)}}
		if d.Fixed == 0 {
			out.Delay.FaultDelaySecifier = &commonv3.FaultDelay_HeaderDelay_{HeaderDelay: &commonv3.FaultDelay_HeaderDelay{}}
		}
	}
	if a := f.Abort; a != nil {
		out.Abort = &faultv3.FaultAbort{Percentage: percent(a.Percentage), ResponseBody: a.Body, ErrorType: &faultv3.FaultAbort_HttpStatus{HttpStatus: uint32(a.Status)}}
		if a.Status == 0 {
			out.Abort.ErrorType = &faultv3.FaultAbort_HeaderAbort_{HeaderAbort: &faultv3.FaultAbort_HeaderAbort{}}
		}
	}
	for i := range f.Headers {
		out.Headers = append(out.Headers, headerMatcher(&f.Headers[i]))
	}
	if f.MaxActive != nil {
		out.MaxActiveFaults = wrapperspb.UInt32(*f.MaxActive)
	}
	return out
}

func perFilter(f *mesh.Fault) (map[string]*anypb.Any, error) {
	if f == nil {
		return nil, nil
	}
	config, err := anypb.New(httpFault(f))
	if err != nil {
		return nil, fmt.Errorf("filter %s: %w", faultName, err)
	}
	return map[string]*anypb.Any{faultName: config}, nil
}
