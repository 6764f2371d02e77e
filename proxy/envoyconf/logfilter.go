package envoyconf

import (
	"fmt"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/meshnic/meshnic/proxy/mesh"
)

func (r *reader) logFilter(path string, f *accesslogv3.AccessLogFilter) *mesh.LogFilter {
	if f == nil {
		return nil
	}
	out := &mesh.LogFilter{}
	switch x := f.GetFilterSpecifier().(type) {
	case *accesslogv3.AccessLogFilter_StatusCodeFilter:
		out.Status = r.comparison(path+".status_code_filter", x.StatusCodeFilter.GetComparison())
	case *accesslogv3.AccessLogFilter_DurationFilter:
		out.Duration = r.comparison(path+".duration_filter", x.DurationFilter.GetComparison())
	case *accesslogv3.AccessLogFilter_NotHealthCheckFilter:
		out.NotHealthCheck = true
	case *accesslogv3.AccessLogFilter_RuntimeFilter:
		s := x.RuntimeFilter
		out.Sample = &mesh.Sample{Key: s.GetRuntimeKey(), Percentage: fraction(s.GetPercentSampled()), Independent: s.GetUseIndependentRandomness()}
		if s.GetRuntimeKey() == "" {
			r.fail(path+".runtime_filter", "has no runtime_key")
		}
	case *accesslogv3.AccessLogFilter_AndFilter:
		out.And = r.logFilters(path+".and_filter", x.AndFilter.GetFilters())
	case *accesslogv3.AccessLogFilter_OrFilter:
		out.Or = r.logFilters(path+".or_filter", x.OrFilter.GetFilters())
	case *accesslogv3.AccessLogFilter_HeaderFilter:
		out.Header = &mesh.HeaderMatch{}
		if h := x.HeaderFilter.GetHeader(); h == nil {
			r.fail(path+".header_filter", "has no header")
		} else {
			*out.Header = r.header(path+".header_filter.header", h)
		}
	case *accesslogv3.AccessLogFilter_ResponseFlagFilter:
		out.Flagged = &mesh.FlagFilter{Flags: x.ResponseFlagFilter.GetFlags()}
	case *accesslogv3.AccessLogFilter_LogTypeFilter:
		out.Types = &mesh.TypeFilter{Exclude: x.LogTypeFilter.GetExclude()}
		for _, t := range x.LogTypeFilter.GetTypes() {
			out.Types.Types = append(out.Types.Types, t.String())
		}
	default:
		r.fail(path, "has no filter")
		return nil
	}
	return out
}

func (r *reader) comparison(path string, c *accesslogv3.ComparisonFilter) *mesh.Comparison {
	if c.GetValue() == nil {
		r.fail(path, "has no comparison with a value")
	}
	return &mesh.Comparison{Op: c.GetOp().String(), Value: c.GetValue().GetDefaultValue()}
}

func (r *reader) logFilters(path string, list []*accesslogv3.AccessLogFilter) (out []mesh.LogFilter) {
	if len(list) < 2 {
		r.fail(path, "has %d filters, want 2 or more", len(list))
	}
	for i, f := range list {
		if x := r.logFilter(fmt.Sprintf("%s.filters[%d]", path, i), f); x != nil {
			out = append(out, *x)
		}
	}
	return out
}

// logFilter is the way back.
func logFilter(f *mesh.LogFilter) *accesslogv3.AccessLogFilter {
	out := &accesslogv3.AccessLogFilter{}
	switch {
	case f == nil:
		return nil
	case f.Status != nil:
		out.FilterSpecifier = &accesslogv3.AccessLogFilter_StatusCodeFilter{StatusCodeFilter: &accesslogv3.StatusCodeFilter{Comparison: comparison(f.Status)}}
	case f.Duration != nil:
		out.FilterSpecifier = &accesslogv3.AccessLogFilter_DurationFilter{DurationFilter: &accesslogv3.DurationFilter{Comparison: comparison(f.Duration)}}
	case f.NotHealthCheck:
		out.FilterSpecifier = &accesslogv3.AccessLogFilter_NotHealthCheckFilter{NotHealthCheckFilter: &accesslogv3.NotHealthCheckFilter{}}
	case f.Sample != nil:
		out.FilterSpecifier = &accesslogv3.AccessLogFilter_RuntimeFilter{RuntimeFilter: &accesslogv3.RuntimeFilter{
			RuntimeKey: f.Sample.Key, PercentSampled: percent(f.Sample.Percentage), UseIndependentRandomness: f.Sample.Independent}}
	case f.And != nil:
		out.FilterSpecifier = &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{Filters: logFilters(f.And)}}
	case f.Or != nil:
		out.FilterSpecifier = &accesslogv3.AccessLogFilter_OrFilter{OrFilter: &accesslogv3.OrFilter{Filters: logFilters(f.Or)}}
	case f.Header != nil:
		out.FilterSpecifier = &accesslogv3.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslogv3.HeaderFilter{Header: headerMatcher(f.Header)}}
	case f.Flagged != nil:
		out.FilterSpecifier = &accesslogv3.AccessLogFilter_ResponseFlagFilter{ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: f.Flagged.Flags}}
	case f.Types != nil:
		x := &accesslogv3.LogTypeFilter{Exclude: f.Types.Exclude}
		for _, t := range f.Types.Types {
			x.Types = append(x.Types, datav3.AccessLogType(datav3.AccessLogType_value[t]))
		}
		out.FilterSpecifier = &accesslogv3.AccessLogFilter_LogTypeFilter{LogTypeFilter: x}
	}
	return out
}

func comparison(c *mesh.Comparison) *accesslogv3.ComparisonFilter {
	return &accesslogv3.ComparisonFilter{
		Op: accesslogv3.ComparisonFilter_Op(accesslogv3.ComparisonFilter_Op_value[c.Op]), Value: &corev3.RuntimeUInt32{DefaultValue: c.Value},
	}
}

func logFilters(list []mesh.LogFilter) (out []*accesslogv3.AccessLogFilter) {
	for i := range list {
		out = append(out, logFilter(&list[i]))
	}
	return out
}
