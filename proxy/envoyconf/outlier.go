package envoyconf

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

func (r *reader) outliers(path string, o *clusterv3.OutlierDetection) *mesh.OutlierDetection {
	if o == nil {
		return nil
	}
	d := mesh.DefaultOutliers
	lasts := func(name string, given *durationpb.Duration, otherwise time.Duration) time.Duration {
		if given == nil {
			return otherwise
		}
		return r.duration(path+"."+name, given)
	}
	out := &mesh.OutlierDetection{
		Consecutive5xx:     or(o.GetConsecutive_5Xx(), d.Consecutive5xx),
		ConsecutiveGateway: or(o.GetConsecutiveGatewayFailure(), d.ConsecutiveGateway),
		Interval:           lasts("interval", o.GetInterval(), d.Interval),
		BaseEjection:       lasts("base_ejection_time", o.GetBaseEjectionTime(), d.BaseEjection),
		MaxPercent:         or(o.GetMaxEjectionPercent(), d.MaxPercent),
		AlwaysEjectOne:     o.GetAlwaysEjectOneHost().GetValue(),
		SuccessHosts:       or(o.GetSuccessRateMinimumHosts(), d.SuccessHosts),
		SuccessVolume:      or(o.GetSuccessRateRequestVolume(), d.SuccessVolume),
		SuccessStdev:       or(o.GetSuccessRateStdevFactor(), d.SuccessStdev),
		FailureThreshold:   or(o.GetFailurePercentageThreshold(), d.FailureThreshold),
		FailureHosts:       or(o.GetFailurePercentageMinimumHosts(), d.FailureHosts),
		FailureVolume:      or(o.GetFailurePercentageRequestVolume(), d.FailureVolume),
		Enforce5xx:         or(o.GetEnforcingConsecutive_5Xx(), d.Enforce5xx),
		EnforceGateway:     or(o.GetEnforcingConsecutiveGatewayFailure(), d.EnforceGateway),
		EnforceSuccess:     or(o.GetEnforcingSuccessRate(), d.EnforceSuccess),
		EnforceFailure:     or(o.GetEnforcingFailurePercentage(), d.EnforceFailure),
	}
	out.MaxEjection = lasts("max_ejection_time", o.GetMaxEjectionTime(), max(d.MaxEjection, out.BaseEjection))
	return out
}

// outlierDetection is the way back.
func outlierDetection(o *mesh.OutlierDetection) *clusterv3.OutlierDetection {
	if o == nil {
		return nil
	}
	out := &clusterv3.OutlierDetection{
		Consecutive_5Xx:                    wrapperspb.UInt32(o.Consecutive5xx),
		ConsecutiveGatewayFailure:          wrapperspb.UInt32(o.ConsecutiveGateway),
		Interval:                           durationpb.New(o.Interval),
		BaseEjectionTime:                   durationpb.New(o.BaseEjection),
		MaxEjectionTime:                    durationpb.New(o.MaxEjection),
		MaxEjectionPercent:                 wrapperspb.UInt32(o.MaxPercent),
		SuccessRateMinimumHosts:            wrapperspb.UInt32(o.SuccessHosts),
		SuccessRateRequestVolume:           wrapperspb.UInt32(o.SuccessVolume),
		SuccessRateStdevFactor:             wrapperspb.UInt32(o.SuccessStdev),
		FailurePercentageThreshold:         wrapperspb.UInt32(o.FailureThreshold),
		FailurePercentageMinimumHosts:      wrapperspb.UInt32(o.FailureHosts),
		FailurePercentageRequestVolume:     wrapperspb.UInt32(o.FailureVolume),
		EnforcingConsecutive_5Xx:           wrapperspb.UInt32(o.Enforce5xx),
		EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(o.EnforceGateway),
		EnforcingSuccessRate:               wrapperspb.UInt32(o.EnforceSuccess),
		EnforcingFailurePercentage:         wrapperspb.UInt32(o.EnforceFailure),
	}
	if o.AlwaysEjectOne {
		out.AlwaysEjectOneHost = wrapperspb.Bool(true)
	}
	return out
}

// commonLB reads the part of c that concerns health.
func (r *reader) commonLB(path string, c *clusterv3.Cluster_CommonLbConfig, out *mesh.Cluster) {
	if p := c.GetHealthyPanicThreshold(); p != nil {
		out.Panic = &p.Value
	}
	if w := c.GetUpdateMergeWindow(); w != nil {
		out.MergeWindow = new(r.duration(path+".update_merge_window", w))
	}
}

// commonLBConfig is the way back.
func commonLBConfig(c *mesh.Cluster) *clusterv3.Cluster_CommonLbConfig {
	if c.Panic == nil && c.MergeWindow == nil {
		return nil
	}
	out := &clusterv3.Cluster_CommonLbConfig{}
	if c.Panic != nil {
		out.HealthyPanicThreshold = &typev3.Percent{Value: *c.Panic}
	}
	if c.MergeWindow != nil {
		out.UpdateMergeWindow = durationpb.New(*c.MergeWindow)
	}
	return out
}
