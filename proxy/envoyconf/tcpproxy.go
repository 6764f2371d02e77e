package envoyconf

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

func (r *reader) tcp(path string, p *tcpv3.TcpProxy) *mesh.TCPProxy {
	out := &mesh.TCPProxy{Cluster: p.GetCluster(), Idle: mesh.DefaultTCPIdle, Attempts: p.GetMaxConnectAttempts().GetValue()}
	for _, c := range p.GetWeightedClusters().GetClusters() {
		out.Clusters = append(out.Clusters, mesh.WeightedCluster{Name: c.GetName(), Weight: c.GetWeight()})
	}
	if d := p.GetIdleTimeout(); d != nil {
		out.Idle = r.duration(path+".idle_timeout", d)
	}
	if n := p.GetMaxConnectAttempts(); n != nil && n.GetValue() == 0 {
		r.fail(path+".max_connect_attempts", "is 0, want 1 or more")
	}
	return out
}

// tcpProxy is the way back.
func tcpProxy(l *mesh.Listener, logs []*accesslogv3.AccessLog) *tcpv3.TcpProxy {
	p := l.TCP
	// The idle timeout is always written: left out it would mean an hour.
	out := &tcpv3.TcpProxy{StatPrefix: l.StatPrefix, AccessLog: logs, IdleTimeout: durationpb.New(p.Idle), ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: p.Cluster}}
	if len(p.Clusters) > 0 {
		w := &tcpv3.TcpProxy_WeightedCluster{}
		for _, c := range p.Clusters {
			w.Clusters = append(w.Clusters, &tcpv3.TcpProxy_WeightedCluster_ClusterWeight{Name: c.Name, Weight: c.Weight})
		}
		out.ClusterSpecifier = &tcpv3.TcpProxy_WeightedClusters{WeightedClusters: w}
	}
	if p.Attempts != 0 {
		out.MaxConnectAttempts = wrapperspb.UInt32(p.Attempts)
	}
	return out
}
