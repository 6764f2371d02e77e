package mesh

// ListenerCounters counts what one listener's HTTP connection manager does.
// They are plain integers: each worker has its own and a reader adds copies up.
type ListenerCounters struct {
	CxTotal, CxActive, CxDestroy, CxDestroyRemote, CxDestroyLocal uint64
	CxHTTP1Total, CxDestroyRemoteActiveRq, RqFailedPath           uint64
	CxDestroyActiveRq, CxProtocolError, CxOverflow, CxIdleTimeout uint64
	CxDelayedCloseTimeout, CxDrainClose, CxRxBytes, CxTxBytes     uint64

	RqTotal, RqActive, RqCompleted, RqRxReset, RqTxReset uint64
	RqIdleTimeout, RqHeaderTimeout                       uint64
	RqResponseBeforeComplete, RqNonRelativePath, RqWS    uint64
	RqClass                                              [6]uint64 // index is status/100

	NoRoute, RouterTotal, RqDirect uint64

	Limit LimitCounters
	Fault FaultCounters

	CxSSLTotal, CxSSLActive, NoChain, CxTransportTimeout, PreCxTimeout uint64
}

// ClusterCounters counts what the connection pools and the router do for one
// cluster.
type ClusterCounters struct {
	CxTotal, CxActive, CxDestroy, CxDestroyLocal, CxDestroyRemote      uint64
	CxDestroyActiveRq, CxDestroyLocalActiveRq, CxDestroyRemoteActiveRq uint64
	CxConnectFail, CxConnectTimeout, CxOverflow, CxNoneHealthy         uint64
	CxIdleTimeout, CxProtocolError, CxRxBytes, CxTxBytes               uint64
	CxTCP, CxAttemptsExceeded                                          uint64 // of TCP proxies
	RqTotal, RqActive, RqCompleted, RqTimeout, RqRxReset, RqTxReset    uint64
	RqCancelled, RqPendingTotal, RqPendingActive, RqPendingOverflow    uint64
	RqPendingFailureEject, PausedReadingTotal, ResumedReadingTotal     uint64
	RqRetry, RqRetrySuccess, RqRetryOverflow, RqRetryLimit             uint64
	RqPerTryTimeout, RetryAbandoned                                    uint64
	BackedUpTotal, DrainedTotal, Panics                                uint64

	Status [1000]uint64 // upstream_rq_<code>, the proxy's own answers included
	Again  [1000]uint64 // retry.upstream_rq_<code>: responses that were followed by another try
}

// Count counts a response to downstream with the given status.
func (c *ListenerCounters) Count(status int) {
	c.RqCompleted++
	if k := status / 100; k < len(c.RqClass) {
		c.RqClass[k]++
	}
}

// Count counts a response of the given status, from the cluster or in its stead.
func (c *ClusterCounters) Count(status int) {
	c.RqCompleted++
	if status < len(c.Status) {
		c.Status[status]++
	}
}

// Stat is a counter or a gauge under Envoy's name for it.
type Stat struct {
	Name  string
	Value uint64
	Gauge bool
}

// Stats appends c's counters under Envoy's names; l is the listener, address its
// address as
// Envoy writes it in names ("127.0.0.1_15001").
func (c *ListenerCounters) Stats(dst []Stat, l *CompiledListener, address string) []Stat {
	if l.TCP != nil {
		dst = c.tcpStats(dst, l.StatPrefix)
	} else {
		dst = c.Fault.stats(c.Limit.stats(c.httpStats(dst, l.StatPrefix), l), l.StatPrefix, l)
	}
	return c.AddressStats(dst, address)
}

// UndecidedStats appends what c counts of connections whose filter chain is not
// known: they are no others until it is.
func (c *ListenerCounters) UndecidedStats(dst []Stat, address string) []Stat {
	p := "listener." + address + "."
	return append(dst,
		Stat{p + "no_filter_chain_match", c.NoChain, false},
		Stat{p + "downstream_pre_cx_active", c.CxActive, true},
		Stat{p + "downstream_pre_cx_timeout", c.PreCxTimeout, false},
	)
}

// AddressStats appends those of c's counters that are the address's.
func (c *ListenerCounters) AddressStats(dst []Stat, address string) []Stat {
	p := "listener." + address + "."
	return append(dst,
		Stat{p + "downstream_cx_transport_socket_connect_timeout", c.CxTransportTimeout, false},
		Stat{p + "downstream_cx_total", c.CxTotal, false},
		Stat{p + "downstream_cx_active", c.CxActive, true},
		Stat{p + "downstream_cx_destroy", c.CxDestroy, false},
		Stat{p + "downstream_global_cx_overflow", c.CxOverflow, false},
	)
}

func (c *ListenerCounters) httpStats(dst []Stat, prefix string) []Stat {
	p := "http." + prefix + "."
	dst = append(dst,
		Stat{p + "downstream_cx_total", c.CxTotal, false},
		Stat{p + "downstream_cx_http1_total", c.CxHTTP1Total, false},
		Stat{p + "downstream_cx_active", c.CxActive, true},
		Stat{p + "downstream_cx_ssl_total", c.CxSSLTotal, false},
		Stat{p + "downstream_cx_ssl_active", c.CxSSLActive, true},
		Stat{p + "downstream_cx_http1_active", c.CxActive, true},
		Stat{p + "downstream_cx_destroy", c.CxDestroy, false},
		Stat{p + "downstream_cx_destroy_remote", c.CxDestroyRemote, false},
		Stat{p + "downstream_cx_destroy_local", c.CxDestroyLocal, false},
		Stat{p + "downstream_cx_destroy_active_rq", c.CxDestroyActiveRq, false},
		Stat{p + "downstream_cx_destroy_remote_active_rq", c.CxDestroyRemoteActiveRq, false},
		Stat{p + "downstream_cx_protocol_error", c.CxProtocolError, false},
		Stat{p + "downstream_cx_idle_timeout", c.CxIdleTimeout, false},
		Stat{p + "downstream_cx_delayed_close_timeout", c.CxDelayedCloseTimeout, false},
		Stat{p + "downstream_cx_drain_close", c.CxDrainClose, false},
		Stat{p + "downstream_cx_rx_bytes_total", c.CxRxBytes, false},
		Stat{p + "downstream_cx_tx_bytes_total", c.CxTxBytes, false},
		Stat{p + "downstream_rq_total", c.RqTotal, false},
		Stat{p + "downstream_rq_http1_total", c.RqTotal, false},
		Stat{p + "downstream_rq_active", c.RqActive, true},
		Stat{p + "downstream_rq_completed", c.RqCompleted, false},
		Stat{p + "downstream_rq_rx_reset", c.RqRxReset, false},
		Stat{p + "downstream_rq_tx_reset", c.RqTxReset, false},
		Stat{p + "downstream_rq_failed_path_normalization", c.RqFailedPath, false},
		Stat{p + "downstream_rq_idle_timeout", c.RqIdleTimeout, false},
		Stat{p + "downstream_rq_header_timeout", c.RqHeaderTimeout, false},
		Stat{p + "downstream_rq_response_before_rq_complete", c.RqResponseBeforeComplete, false},
		Stat{p + "downstream_rq_non_relative_path", c.RqNonRelativePath, false},
		Stat{p + "downstream_rq_ws_on_non_ws_route", c.RqWS, false},
		Stat{p + "no_route", c.NoRoute, false},
		Stat{p + "rq_direct_response", c.RqDirect, false},
		Stat{p + "rq_total", c.RouterTotal, false},
	)
	for k := 1; k < len(c.RqClass); k++ {
		dst = append(dst, Stat{p + "downstream_rq_" + string(rune('0'+k)) + "xx", c.RqClass[k], false})
	}
	return dst
}

// Stats appends c's counters under Envoy's names.
func (c *ClusterCounters) Stats(dst []Stat, cluster string) []Stat {
	p := "cluster." + cluster + "."
	dst = append(dst,
		Stat{p + "lb_healthy_panic", c.Panics, false},
		Stat{p + "upstream_cx_total", c.CxTotal, false},
		Stat{p + "upstream_cx_http1_total", c.CxTotal - c.CxTCP, false},
		Stat{p + "upstream_cx_active", c.CxActive, true},
		Stat{p + "upstream_cx_destroy", c.CxDestroy, false},
		Stat{p + "upstream_cx_destroy_local", c.CxDestroyLocal, false},
		Stat{p + "upstream_cx_destroy_remote", c.CxDestroyRemote, false},
		Stat{p + "upstream_cx_destroy_with_active_rq", c.CxDestroyActiveRq, false},
		Stat{p + "upstream_cx_destroy_local_with_active_rq", c.CxDestroyLocalActiveRq, false},
		Stat{p + "upstream_cx_destroy_remote_with_active_rq", c.CxDestroyRemoteActiveRq, false},
		Stat{p + "upstream_cx_connect_fail", c.CxConnectFail, false},
		Stat{p + "upstream_cx_connect_timeout", c.CxConnectTimeout, false},
		Stat{p + "upstream_cx_overflow", c.CxOverflow, false},
		Stat{p + "upstream_cx_connect_attempts_exceeded", c.CxAttemptsExceeded, false},
		Stat{p + "upstream_cx_none_healthy", c.CxNoneHealthy, false},
		Stat{p + "upstream_cx_idle_timeout", c.CxIdleTimeout, false},
		Stat{p + "upstream_cx_protocol_error", c.CxProtocolError, false},
		Stat{p + "upstream_cx_rx_bytes_total", c.CxRxBytes, false},
		Stat{p + "upstream_cx_tx_bytes_total", c.CxTxBytes, false},
		Stat{p + "upstream_rq_total", c.RqTotal, false},
		Stat{p + "upstream_rq_active", c.RqActive, true},
		Stat{p + "upstream_rq_completed", c.RqCompleted, false},
		Stat{p + "upstream_rq_timeout", c.RqTimeout, false},
		Stat{p + "upstream_rq_rx_reset", c.RqRxReset, false},
		Stat{p + "upstream_rq_tx_reset", c.RqTxReset, false},
		Stat{p + "upstream_rq_cancelled", c.RqCancelled, false},
		Stat{p + "upstream_rq_pending_total", c.RqPendingTotal, false},
		Stat{p + "upstream_rq_pending_active", c.RqPendingActive, true},
		Stat{p + "upstream_rq_pending_overflow", c.RqPendingOverflow, false},
		Stat{p + "upstream_rq_pending_failure_eject", c.RqPendingFailureEject, false},
		Stat{p + "upstream_rq_retry", c.RqRetry, false},
		Stat{p + "upstream_rq_retry_backoff_exponential", c.RqRetry, false},
		Stat{p + "upstream_rq_retry_success", c.RqRetrySuccess, false},
		Stat{p + "upstream_rq_retry_overflow", c.RqRetryOverflow, false},
		Stat{p + "upstream_rq_retry_limit_exceeded", c.RqRetryLimit, false},
		Stat{p + "upstream_rq_per_try_timeout", c.RqPerTryTimeout, false},
		Stat{p + "retry_or_shadow_abandoned", c.RetryAbandoned, false},
		Stat{p + "upstream_flow_control_paused_reading_total", c.PausedReadingTotal, false},
		Stat{p + "upstream_flow_control_resumed_reading_total", c.ResumedReadingTotal, false},
		Stat{p + "upstream_flow_control_backed_up_total", c.BackedUpTotal, false},
		Stat{p + "upstream_flow_control_drained_total", c.DrainedTotal, false},
	)
	dst = statuses(dst, p, &c.Status)
	dst = statuses(dst, p+"retry.", &c.Again)
	if again := total(&c.Again); again > 0 {
		dst = append(dst, Stat{p + "retry.upstream_rq_completed", again, false})
	}
	return dst
}

// statuses appends those of the codes, and of their classes, that there were.
func statuses(dst []Stat, p string, codes *[1000]uint64) []Stat {
	var class [6]uint64
	unknown := uint64(0) // of codes that have no counter of their own
	for code, n := range codes {
		if code >= 600 {
			unknown += n
		}
		if n == 0 || code >= 600 {
			continue
		}
		class[code/100] += n
		digits := []byte{byte('0' + code/100), byte('0' + code/10%10), byte('0' + code%10)}
		dst = append(dst, Stat{p + "upstream_rq_" + string(digits), n, false})
	}
	for k := 1; k <= 5; k++ {
		if class[k] != 0 {
			dst = append(dst, Stat{p + "upstream_rq_" + string(rune('0'+k)) + "xx", class[k], false})
		}
	}
	if unknown > 0 {
		dst = append(dst, Stat{p + "upstream_rq_unknown", unknown, false})
	}
	return dst
}

func total(codes *[1000]uint64) (n uint64) {
	for _, c := range codes {
		n += c
	}
	return n
}

// HostCounters count what happens to one endpoint. The names are those of Envoy's
// /clusters.
type HostCounters struct {
	CxActive, CxConnectFail, CxTotal                                  uint64
	RqActive, RqError, RqPendingActive, RqSuccess, RqTimeout, RqTotal uint64
}

// Add adds those of o.
func (h *HostCounters) Add(o *HostCounters) {
	h.CxActive += o.CxActive
	h.CxConnectFail += o.CxConnectFail
	h.CxTotal += o.CxTotal
	h.RqActive += o.RqActive
	h.RqError += o.RqError
	h.RqPendingActive += o.RqPendingActive
	h.RqSuccess += o.RqSuccess
	h.RqTimeout += o.RqTimeout
	h.RqTotal += o.RqTotal
}

// Stats lists them in the order of Envoy's text.
func (h *HostCounters) Stats() [9]Stat {
	return [9]Stat{
		{"cx_active", h.CxActive, true}, {"cx_connect_fail", h.CxConnectFail, false}, {"cx_total", h.CxTotal, false},
		{"rq_active", h.RqActive, true}, {"rq_error", h.RqError, false}, {"rq_pending_active", h.RqPendingActive, true},
		{"rq_success", h.RqSuccess, false}, {"rq_timeout", h.RqTimeout, false}, {"rq_total", h.RqTotal, false},
	}
}
