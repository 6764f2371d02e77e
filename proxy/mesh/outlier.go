package mesh

import (
	"fmt"
	"time"
)

// OutlierDetection takes endpoints out of a cluster that answer worse than others,
// as Envoy's does where it does not tell the proxy's own errors from the
// endpoint's. DefaultOutliers has its defaults; a field that is 0 is 0.
type OutlierDetection struct {
	Consecutive5xx     uint32 `json:"consecutive_5xx"`             // answers 5xx in a row; 0 is off
	ConsecutiveGateway uint32 `json:"consecutive_gateway_failure"` // 502, 503 or 504 in a row; 0 is off

	Interval       time.Duration `json:"interval"` // of looking at rates, and at who may come back
	BaseEjection   time.Duration `json:"base_ejection_time"`
	MaxEjection    time.Duration `json:"max_ejection_time"` // however often it was ejected
	MaxPercent     uint32        `json:"max_ejection_percent"`
	AlwaysEjectOne bool          `json:"always_eject_one_host,omitempty"` // whatever MaxPercent says

	SuccessHosts  uint32 `json:"success_rate_minimum_hosts"`
	SuccessVolume uint32 `json:"success_rate_request_volume"` // in an interval, of a host that counts
	SuccessStdev  uint32 `json:"success_rate_stdev_factor"`   // thousandths of a standard deviation below the mean

	FailureThreshold uint32 `json:"failure_percentage_threshold"`
	FailureHosts     uint32 `json:"failure_percentage_minimum_hosts"`
	FailureVolume    uint32 `json:"failure_percentage_request_volume"`

	// In percent: how often what is detected is acted upon.
	Enforce5xx     uint32 `json:"enforcing_consecutive_5xx"`
	EnforceGateway uint32 `json:"enforcing_consecutive_gateway_failure"`
	EnforceSuccess uint32 `json:"enforcing_success_rate"`
	EnforceFailure uint32 `json:"enforcing_failure_percentage"`
}

// DefaultOutliers are Envoy's defaults of an outlier_detection that says nothing.
var DefaultOutliers = OutlierDetection{
	Consecutive5xx: 5, ConsecutiveGateway: 5,
	Interval: 10 * time.Second, BaseEjection: 30 * time.Second, MaxEjection: 300 * time.Second, MaxPercent: 10,
	SuccessHosts: 5, SuccessVolume: 100, SuccessStdev: 1900,
	FailureThreshold: 85, FailureHosts: 5, FailureVolume: 50,
	Enforce5xx: 100, EnforceSuccess: 100,
}

// DefaultPanic is Envoy's panic threshold in percent: with fewer healthy endpoints
// all of them get requests.
const DefaultPanic = 50

// DefaultMergeWindow is how long Envoy collects changes of health that follow one
// another.
const DefaultMergeWindow = time.Second

func (v *validator) outliers(path string, o *OutlierDetection) {
	if o == nil {
		return
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"interval", o.Interval}, {"base_ejection_time", o.BaseEjection}, {"max_ejection_time", o.MaxEjection}} {
		if d.d < time.Millisecond {
			v.fail(path+"."+d.name, "is %v, want 1 ms or more", d.d)
		}
	}
	if o.MaxEjection < o.BaseEjection {
		v.fail(path+".max_ejection_time", "is %v, want no less than base_ejection_time (%v)", o.MaxEjection, o.BaseEjection)
	}
	for _, p := range []struct {
		name string
		n    uint32
	}{
		{"max_ejection_percent", o.MaxPercent}, {"failure_percentage_threshold", o.FailureThreshold},
		{"enforcing_consecutive_5xx", o.Enforce5xx}, {"enforcing_consecutive_gateway_failure", o.EnforceGateway},
		{"enforcing_success_rate", o.EnforceSuccess}, {"enforcing_failure_percentage", o.EnforceFailure},
	} {
		if p.n > 100 {
			v.fail(fmt.Sprintf("%s.%s", path, p.name), "is %d, want 0 to 100", p.n)
		}
	}
}
