package mesh

import (
	"math"
	"sync/atomic"
	"time"
)

// outlier is a reason to eject an endpoint.
type outlier uint8

const (
	outlier5xx outlier = iota
	outlierGateway
	outlierSuccess
	outlierFailure
	outliers // how many there are
)

// OutlierCounters count what outlier detection found and did.
type OutlierCounters struct {
	Detected, Enforced              [outliers]uint64
	Total, Active, Overflow, ByRate uint64
}

// detector is the outlier detection of one cluster. Record may be called by many
// at once; whoever calls the others sees to it that nobody else does.
type detector struct {
	*OutlierDetection
	hosts    []*Host
	counters OutlierCounters
}

// suspect is what it knows of one endpoint.
type suspect struct {
	fives, gateways atomic.Uint32 // in a row
	total, good     atomic.Uint64 // of this interval
	ejected         atomic.Bool
	since           time.Duration // when it was ejected
	times           time.Duration // BaseEjection is multiplied by this
}

// record notes an answer of an endpoint, or the status that stands for its loss. It
// returns what it adds up to.
func (d *detector) record(h *suspect, status int) (found [outliers]bool, any bool) {
	h.total.Add(1)
	if status/100 != 5 {
		h.good.Add(1)
		h.fives.Store(0)
		h.gateways.Store(0)
		return found, false
	}
	if status >= 502 && status <= 504 {
		found[outlierGateway] = h.gateways.Add(1) == d.ConsecutiveGateway
	} else {
		h.gateways.Store(0)
	}
	found[outlier5xx] = h.fives.Add(1) == d.Consecutive5xx
	return found, found[outlierGateway] || found[outlier5xx]
}

// consecutive acts upon what record found. It reports whether h is ejected now.
func (d *detector) consecutive(h *suspect, found [outliers]bool, now time.Duration, draw func() uint64) (changed bool) {
	for _, why := range []outlier{outlierGateway, outlier5xx} { // Envoy's order
		if !found[why] || h.ejected.Load() {
			continue
		}
		changed = d.eject(h, why, now, draw) || changed
		if why == outlier5xx {
			h.fives.Store(0)
		} else {
			h.gateways.Store(0)
		}
	}
	return changed
}

func (d *detector) eject(h *suspect, why outlier, now time.Duration, draw func() uint64) bool {
	c := &d.counters
	c.Detected[why]++
	if why == outlierSuccess {
		c.ByRate++
	}
	if percent := 100 * float64(c.Active+1) / float64(len(d.hosts)); percent > float64(d.MaxPercent) && !(d.AlwaysEjectOne && c.Active == 0) {
		c.Overflow++
		return false
	}
	if why == outlier5xx || why == outlierSuccess {
		c.Total++ // Envoy's oldest counter, which knows no other
	}
	if p := d.enforced(why); h.ejected.Load() || p < 100 && (p == 0 || draw()%100 >= uint64(p)) {
		return false
	}
	c.Enforced[why]++
	c.Active++
	h.ejected.Store(true)
	h.since = now
	if h.times*d.BaseEjection < d.MaxEjection+d.BaseEjection {
		h.times++
	}
	return true
}

func (d *detector) enforced(why outlier) uint32 {
	return [outliers]uint32{d.Enforce5xx, d.EnforceGateway, d.EnforceSuccess, d.EnforceFailure}[why]
}

// back returns an endpoint to service.
func (d *detector) back(h *suspect) {
	h.fives.Store(0)
	h.gateways.Store(0)
	h.ejected.Store(false)
	d.counters.Active--
}

// sweep ends an interval: who has been away long enough comes back, and who did
// worse than the others in it goes.
func (d *detector) sweep(now time.Duration, draw func() uint64) (failed []*Host, back bool) {
	for i := range d.hosts {
		switch h := &d.hosts[i].suspect; {
		case !h.ejected.Load():
			h.times = max(h.times-1, 0)
		case now-h.since >= min(h.times*d.BaseEjection, d.MaxEjection):
			d.back(h)
			back = true
		}
	}
	return d.rates(now, draw), back
}

// rate is what an endpoint did in an interval.
type rate struct {
	host    *Host
	success float64 // in percent
}

func (d *detector) rates(now time.Duration, draw func() uint64) (failed []*Host) {
	var success, failure []rate
	sum := 0.0
	for _, h := range d.hosts {
		total, good := h.suspect.total.Swap(0), h.suspect.good.Swap(0)
		if h.Ejected() || total == 0 {
			continue
		}
		r := rate{h, 100 * float64(min(good, total)) / float64(total)}
		if total >= uint64(d.SuccessVolume) {
			success = append(success, r)
			sum += r.success
		}
		if total >= uint64(d.FailureVolume) {
			failure = append(failure, r)
		}
	}
	if n := len(success); n > 0 && n >= int(d.SuccessHosts) {
		mean, variance := sum/float64(n), 0.0
		for _, r := range success {
			variance += (r.success - mean) * (r.success - mean)
		}
		least := mean - float64(d.SuccessStdev)/1000*math.Sqrt(variance/float64(n))
		for _, r := range success {
			if r.success < least && d.eject(&r.host.suspect, outlierSuccess, now, draw) {
				failed = append(failed, r.host)
			}
		}
	}
	if n := len(failure); n > 0 && n >= int(d.FailureHosts) {
		for _, r := range failure {
			if 100-r.success >= float64(d.FailureThreshold) && d.eject(&r.host.suspect, outlierFailure, now, draw) {
				failed = append(failed, r.host)
			}
		}
	}
	return failed
}

// stats appends d's counters under Envoy's names.
func (d *detector) stats(dst []Stat, cluster string) []Stat {
	p, c := "cluster."+cluster+".outlier_detection.ejections_", &d.counters
	for why, name := range [outliers]string{"consecutive_5xx", "consecutive_gateway_failure", "success_rate", "failure_percentage"} {
		dst = append(dst, Stat{p + "detected_" + name, c.Detected[why], false}, Stat{p + "enforced_" + name, c.Enforced[why], false})
	}
	enforced := uint64(0)
	for _, n := range c.Enforced {
		enforced += n
	}
	return append(dst,
		Stat{p + "active", c.Active, true},
		Stat{p + "overflow", c.Overflow, false},
		Stat{p + "enforced_total", enforced, false},
		Stat{p + "total", c.Total, false},
		Stat{p + "consecutive_5xx", c.Detected[outlier5xx], false},
		Stat{p + "success_rate", c.ByRate, false},
	)
}
