package envoyconf

import (
	"encoding/hex"
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

func (r *reader) check(path string, list []*corev3.HealthCheck) *mesh.HealthCheck {
	if len(list) == 0 {
		return nil
	}
	if len(list) > 1 {
		r.fail(path, "has %d entries, want 1", len(list))
		return nil
	}
	c := list[0]
	path += "[0]"
	lasts := func(name string, given *durationpb.Duration, otherwise time.Duration) time.Duration {
		if given == nil {
			return otherwise
		}
		return r.duration(path+"."+name, given)
	}
	out := &mesh.HealthCheck{
		Timeout: lasts("timeout", c.GetTimeout(), 0), Interval: lasts("interval", c.GetInterval(), 0),
		NoTraffic:     lasts("no_traffic_interval", c.GetNoTrafficInterval(), mesh.DefaultNoTraffic),
		InitialJitter: lasts("initial_jitter", c.GetInitialJitter(), 0), Jitter: lasts("interval_jitter", c.GetIntervalJitter(), 0),
		JitterPercent:      c.GetIntervalJitterPercent(),
		UnhealthyThreshold: or(c.GetUnhealthyThreshold(), 0), HealthyThreshold: or(c.GetHealthyThreshold(), 0),
		Once: c.GetReuseConnection() != nil && !c.GetReuseConnection().GetValue(),
	}
	out.NoTrafficHealthy = lasts("no_traffic_healthy_interval", c.GetNoTrafficHealthyInterval(), out.NoTraffic)
	out.Unhealthy = lasts("unhealthy_interval", c.GetUnhealthyInterval(), out.Interval)
	out.UnhealthyEdge = lasts("unhealthy_edge_interval", c.GetUnhealthyEdgeInterval(), out.Unhealthy)
	out.HealthyEdge = lasts("healthy_edge_interval", c.GetHealthyEdgeInterval(), out.Interval)
	if h := c.GetHttpHealthCheck(); h != nil {
		out.HTTP = &mesh.HTTPCheck{Host: h.GetHost(), Path: h.GetPath(), Expected: ranges(h.GetExpectedStatuses()), Retriable: ranges(h.GetRetriableStatuses())}
	}
	if t := c.GetTcpHealthCheck(); t != nil {
		out.TCP = &mesh.TCPCheck{Send: r.payload(path+".tcp_health_check.send", t.GetSend())}
		for i, p := range t.GetReceive() {
			out.TCP.Receive = append(out.TCP.Receive, r.payload(fmt.Sprintf("%s.tcp_health_check.receive[%d]", path, i), p))
		}
	}
	return out
}

func ranges(list []*typev3.Int64Range) (out []mesh.StatusRange) {
	for _, x := range list {
		out = append(out, mesh.StatusRange{Start: x.GetStart(), End: x.GetEnd()})
	}
	return out
}

func (r *reader) payload(path string, p *corev3.HealthCheck_Payload) []byte {
	if p == nil {
		return nil
	}
	b, err := hex.DecodeString(p.GetText())
	if err != nil || len(b) == 0 {
		r.fail(path+".text", "%q is not bytes in hexadecimal", p.GetText())
	}
	return b
}

// healthChecks is the way back.
func healthChecks(c *mesh.HealthCheck) []*corev3.HealthCheck {
	if c == nil {
		return nil
	}
	out := &corev3.HealthCheck{
		Timeout: durationpb.New(c.Timeout), Interval: durationpb.New(c.Interval),
		NoTrafficInterval: durationpb.New(c.NoTraffic), NoTrafficHealthyInterval: durationpb.New(c.NoTrafficHealthy),
		UnhealthyInterval: durationpb.New(c.Unhealthy), UnhealthyEdgeInterval: durationpb.New(c.UnhealthyEdge), HealthyEdgeInterval: durationpb.New(c.HealthyEdge),
		InitialJitter: duration(c.InitialJitter), IntervalJitter: duration(c.Jitter), IntervalJitterPercent: c.JitterPercent,
		UnhealthyThreshold: wrapperspb.UInt32(c.UnhealthyThreshold), HealthyThreshold: wrapperspb.UInt32(c.HealthyThreshold),
	}
	if c.Once {
		out.ReuseConnection = wrapperspb.Bool(false)
	}
	back := func(list []mesh.StatusRange) (out []*typev3.Int64Range) {
		for _, x := range list {
			out = append(out, &typev3.Int64Range{Start: x.Start, End: x.End})
		}
		return out
	}
	text := func(b []byte) *corev3.HealthCheck_Payload {
		return &corev3.HealthCheck_Payload{Payload: &corev3.HealthCheck_Payload_Text{Text: hex.EncodeToString(b)}}
	}
	if h := c.HTTP; h != nil {
		out.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{
			Host: h.Host, Path: h.Path, ExpectedStatuses: back(h.Expected), RetriableStatuses: back(h.Retriable)}}
	} else {
		t := &corev3.HealthCheck_TcpHealthCheck{}
		if len(c.TCP.Send) > 0 {
			t.Send = text(c.TCP.Send)
		}
		for _, b := range c.TCP.Receive {
			t.Receive = append(t.Receive, text(b))
		}
		out.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: t}
	}
	return []*corev3.HealthCheck{out}
}
