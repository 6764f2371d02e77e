package envoyconf

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Envoy's names of the HTTP filters.
const (
	routerName    = "envoy.filters.http.router"
	rateLimitName = "envoy.filters.http.local_ratelimit"
	faultName     = "envoy.filters.http.fault"
)

// errorStatuses are Envoy's names of the status codes from 400 on, and their numbers.
func errorStatuses() (all []string) {
	for code, name := range typev3.StatusCode_name {
		if code >= 400 {
			all = append(all, name, strconv.Itoa(int(code)))
		}
	}
	slices.Sort(all)
	return all
}

// filters reads what stands before the router, which is the last. It keeps the name
// of the fault, by which routes refer to it.
func (r *reader) filters(path string, list []*hcmv3.HttpFilter) (out []mesh.Filter) {
	r.fault = ""
	last := len(list) - 1
	if last < 0 || !list[last].GetTypedConfig().MessageIs(&routerv3.Router{}) {
		r.fail(path, "want the router filter at the end")
		return nil
	}
	for i, f := range list[:last] {
		p := fmt.Sprintf("%s[%d].typed_config", path, i)
		var limit ratelimitv3.LocalRateLimit
		var fault faultv3.HTTPFault
		switch {
		case f.GetTypedConfig().UnmarshalTo(&limit) == nil:
			out = append(out, mesh.Filter{RateLimit: r.rateLimit(p, &limit)})
		case f.GetTypedConfig().UnmarshalTo(&fault) == nil:
			r.fault = f.GetName()
			out = append(out, mesh.Filter{Fault: r.httpFault(p, &fault)})
		default:
			r.fail(p, "is no filter that may stand before the router")
		}
	}
	return out
}

func (r *reader) rateLimit(path string, l *ratelimitv3.LocalRateLimit) *mesh.RateLimit {
	out := &mesh.RateLimit{
		StatPrefix: l.GetStatPrefix(), Max: l.GetTokenBucket().GetMaxTokens(), Fill: or(l.GetTokenBucket().GetTokensPerFill(), 1),
		Enabled: r.runtimeFraction(path+".filter_enabled", l.GetFilterEnabled()), Enforced: r.runtimeFraction(path+".filter_enforced", l.GetFilterEnforced()),
		Add: r.headerValues(path+".response_headers_to_add", l.GetResponseHeadersToAdd()),
	}
	if l.GetTokenBucket() == nil {
		r.fail(path, "has no token_bucket")
		return out
	}
	if out.Interval = r.duration(path+".token_bucket.fill_interval", l.GetTokenBucket().GetFillInterval()); out.Interval < mesh.MinFillInterval {
		r.fail(path+".token_bucket.fill_interval", "is %v, want %v or more", out.Interval, mesh.MinFillInterval)
	}
	if s := int(l.GetStatus().GetCode()); s != 429 {
		out.Status = s
	}
	return out
}

func (r *reader) runtimeFraction(path string, f *corev3.RuntimeFractionalPercent) mesh.Fraction {
	if f != nil && f.GetDefaultValue() == nil {
		r.fail(path, "has no default_value")
	}
	return fraction(f.GetDefaultValue())
}

func fraction(f *typev3.FractionalPercent) mesh.Fraction {
	out := mesh.Fraction{Numerator: f.GetNumerator()}
	if f.GetDenominator() != typev3.FractionalPercent_HUNDRED {
		out.Denominator = f.GetDenominator().String()
	}
	return out
}

// httpFilters is the way back, the router included.
func httpFilters(list []mesh.Filter) (out []*hcmv3.HttpFilter, err error) {
	add := func(name string, m proto.Message) error {
		config, err := anypb.New(m)
		if err != nil {
			return fmt.Errorf("filter %s: %w", name, err)
		}
		out = append(out, &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}})
		return nil
	}
	for _, f := range list {
		if f.RateLimit != nil {
			err = errors.Join(err, add(rateLimitName, localRateLimit(f.RateLimit)))
		}
		if f.Fault != nil {
			err = errors.Join(err, add(faultName, httpFault(f.Fault)))
		}
	}
	err = errors.Join(err, add(routerName, &routerv3.Router{}))
	return out, err
}

func localRateLimit(l *mesh.RateLimit) *ratelimitv3.LocalRateLimit {
	out := &ratelimitv3.LocalRateLimit{
		StatPrefix:    l.StatPrefix,
		TokenBucket:   &typev3.TokenBucket{MaxTokens: l.Max, TokensPerFill: wrapperspb.UInt32(l.Fill), FillInterval: duration(l.Interval)},
		FilterEnabled: runtimePercent(l.Enabled), FilterEnforced: runtimePercent(l.Enforced), ResponseHeadersToAdd: headerOptions(l.Add),
	}
	if l.Status != 0 {
		out.Status = &typev3.HttpStatus{Code: typev3.StatusCode(l.Status)}
	}
	return out
}

func runtimePercent(f mesh.Fraction) *corev3.RuntimeFractionalPercent {
	return &corev3.RuntimeFractionalPercent{DefaultValue: percent(f)}
}

func percent(f mesh.Fraction) *typev3.FractionalPercent {
	return &typev3.FractionalPercent{
		Numerator: f.Numerator, Denominator: typev3.FractionalPercent_DenominatorType(typev3.FractionalPercent_DenominatorType_value[f.Denominator]), // HUNDRED is 0
	}
}
