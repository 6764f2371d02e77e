package envoyconf

import (
	"fmt"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

const previousHosts = "envoy.retry_host_predicates.previous_hosts"

func (r *reader) retry(path string, p *routev3.RetryPolicy) *mesh.RetryPolicy {
	if p == nil {
		return nil
	}
	out := &mesh.RetryPolicy{Retries: mesh.DefaultRetries, Statuses: p.GetRetriableStatusCodes()}
	for w := range strings.SplitSeq(p.GetRetryOn(), ",") {
		if w = strings.TrimSpace(w); w != "" {
			out.On = append(out.On, w)
		}
	}
	if n := p.GetNumRetries(); n != nil {
		out.Retries = n.GetValue()
	}
	if d := p.GetPerTryTimeout(); d != nil {
		out.PerTry = r.duration(path+".per_try_timeout", d)
	}
	if b := p.GetRetryBackOff(); b != nil {
		if b.GetBaseInterval() == nil {
			r.fail(path+".retry_back_off", "has no base_interval")
		} else {
			out.Base = r.duration(path+".retry_back_off.base_interval", b.GetBaseInterval())
		}
		if b.GetMaxInterval() != nil {
			out.Max = r.duration(path+".retry_back_off.max_interval", b.GetMaxInterval())
		}
	}
	for i, h := range p.GetRetriableHeaders() {
		out.Headers = append(out.Headers, r.header(fmt.Sprintf("%s.retriable_headers[%d]", path, i), h))
	}
	for i, h := range p.GetRetryHostPredicate() {
		if out.OtherHosts = h.GetTypedConfig().MessageIs(&previousv3.PreviousHostsPredicate{}); !out.OtherHosts {
			r.fail(fmt.Sprintf("%s.retry_host_predicate[%d].typed_config", path, i), "is not a PreviousHostsPredicate")
		}
	}
	if n := p.GetHostSelectionRetryMaxAttempts(); n < 0 || n > mesh.MaxHostAttempts {
		r.fail(path+".host_selection_retry_max_attempts", "is %d, want 0 to %d", n, mesh.MaxHostAttempts)
	} else {
		out.HostAttempts = uint32(n)
	}
	return out
}

// retryPolicy is the way back.
func retryPolicy(p *mesh.RetryPolicy) *routev3.RetryPolicy {
	if p == nil {
		return nil
	}
	out := &routev3.RetryPolicy{
		RetryOn: strings.Join(p.On, ","), NumRetries: wrapperspb.UInt32(p.Retries), PerTryTimeout: duration(p.PerTry),
		RetriableStatusCodes: p.Statuses, HostSelectionRetryMaxAttempts: int64(p.HostAttempts),
	}
	if p.Base != 0 {
		out.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{BaseInterval: duration(p.Base), MaxInterval: duration(p.Max)}
	}
	for i := range p.Headers {
		out.RetriableHeaders = append(out.RetriableHeaders, headerMatcher(&p.Headers[i]))
	}
	if p.OtherHosts {
		empty, _ := anypb.New(&previousv3.PreviousHostsPredicate{}) // an empty message is always encoded
		out.RetryHostPredicate = []*routev3.RetryPolicy_RetryHostPredicate{{
			Name: previousHosts, ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: empty},
		}}
	}
	return out
}

func budget(b *clusterv3.CircuitBreakers_Thresholds_RetryBudget) *mesh.RetryBudget {
	if b == nil {
		return nil
	}
	out := &mesh.RetryBudget{Percent: mesh.DefaultBudgetPercent, Least: mesh.DefaultBudgetLeast}
	if p := b.GetBudgetPercent(); p != nil {
		out.Percent = p.GetValue()
	}
	if n := b.GetMinRetryConcurrency(); n != nil {
		out.Least = n.GetValue()
	}
	return out
}

func retryBudget(b *mesh.RetryBudget) *clusterv3.CircuitBreakers_Thresholds_RetryBudget {
	if b == nil {
		return nil
	}
	return &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
		BudgetPercent: &typev3.Percent{Value: b.Percent}, MinRetryConcurrency: wrapperspb.UInt32(b.Least),
	}
}
