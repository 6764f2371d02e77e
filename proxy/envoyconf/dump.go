package envoyconf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Dump returns what Envoy's admin shows of cfg under /config_dump, in its form:
// the bootstrap (private keys redacted), the clusters, the listeners and the routes, in JSON. since is
// when cfg came into force.
func Dump(cfg mesh.Config, since time.Time) ([]byte, error) {
	b, err := bootstrap(redactKeys(cfg))
	if err != nil {
		return nil, err
	}
	at := timestamppb.New(since.Truncate(time.Millisecond))
	clusters, listeners, routes := &adminv3.ClustersConfigDump{}, &adminv3.ListenersConfigDump{}, &adminv3.RoutesConfigDump{}
	for _, c := range b.GetStaticResources().GetClusters() {
		a, err := anypb.New(c)
		if err != nil {
			return nil, fmt.Errorf("envoyconf: dump cluster %s: %w", c.GetName(), err)
		}
		clusters.StaticClusters = append(clusters.StaticClusters, &adminv3.ClustersConfigDump_StaticCluster{Cluster: a, LastUpdated: at})
	}
	for _, l := range b.GetStaticResources().GetListeners() {
		a, err := anypb.New(l)
		if err != nil {
			return nil, fmt.Errorf("envoyconf: dump listener %s: %w", l.GetName(), err)
		}
		listeners.StaticListeners = append(listeners.StaticListeners, &adminv3.ListenersConfigDump_StaticListener{Listener: a, LastUpdated: at})
		for _, chain := range l.GetFilterChains() {
			var m hcmv3.HttpConnectionManager
			if !chain.GetFilters()[0].GetTypedConfig().MessageIs(&m) {
				continue // a TCP proxy
			}
			if err := chain.GetFilters()[0].GetTypedConfig().UnmarshalTo(&m); err != nil {
				return nil, fmt.Errorf("envoyconf: dump routes of %s: %w", l.GetName(), err)
			}
			if a, err = anypb.New(m.GetRouteConfig()); err != nil {
				return nil, fmt.Errorf("envoyconf: dump routes of %s: %w", l.GetName(), err)
			}
			routes.StaticRouteConfigs = append(routes.StaticRouteConfigs, &adminv3.RoutesConfigDump_StaticRouteConfig{RouteConfig: a, LastUpdated: at})
		}
	}
	out := &adminv3.ConfigDump{}
	for _, m := range []proto.Message{
		&adminv3.BootstrapConfigDump{Bootstrap: b, LastUpdated: at}, clusters, listeners,
		&adminv3.ScopedRoutesConfigDump{}, routes, &adminv3.SecretsConfigDump{},
	} {
		a, err := anypb.New(m)
		if err != nil {
			return nil, fmt.Errorf("envoyconf: dump: %w", err)
		}
		out.Configs = append(out.Configs, a)
	}
	j, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("envoyconf: dump: %w", err)
	}
	// protojson varies its spaces on purpose.
	var buf bytes.Buffer
	if err := json.Indent(&buf, j, "", " "); err != nil {
		return nil, fmt.Errorf("envoyconf: dump: %w", err)
	}
	return append(buf.Bytes(), '\n'), nil
}
