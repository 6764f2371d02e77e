package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench/istio"
	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/envoyconf"
)

// The clusters of the systems are labs that can be made, in which every service
// that is called stands for its pods, and every pod has rules if it has a proxy.
func TestClustersHoldTogether(t *testing.T) {
	for _, top := range topologies {
		if !top.cluster {
			continue
		}
		spec := top.clusterSpec()
		spec.Name = "t"
		text, err := lab.Plan(spec)
		require.NoError(t, err, top.name)
		rules := 0
		if top.program != "" {
			rules = len(pods)
		}
		require.Equal(t, rules, strings.Count(text, "table ip istio-proxy-nat"), top.name)
		for _, s := range append(slices.Clone(called), "productpage") {
			require.Contains(t, text, "-default/"+s+"/tcp/http", top.name)
		}
		if top.nic != "" {
			require.Equal(t, len(pods), strings.Count(text, " netns mnic-t-nic mtu 1500\n")-strings.Count(text, "p-node netns"), "all but the client are behind it")
			cfg := clusterNIC(completed(spec)).Config()
			require.NoError(t, cfg.Validate())
			require.Len(t, cfg.Listeners, 4+len(pods))
			parts, err := offload.Explain(cfg)
			require.NoError(t, err)
			for _, p := range parts {
				require.Equal(t, "nic", p.Where, "%+v", p)
			}
		}
		require.Equal(t, 1, strings.Count(text, "numgen random mod 3"), "reviews")
	}
}

// A file of a sidecar is the same whichever proxy reads it, and both do.
func TestSidecarsOfAClusterReadOneFile(t *testing.T) {
	spec := completed(topology{program: "envoy"}.clusterSpec())
	services := meshServices(spec)
	require.Len(t, services, 4)
	for _, s := range services {
		side := istio.Sidecar{Pod: s.Name, Namespace: "default", Target: bookinfoPort, Domain: "cluster.local", Services: services,
			Files: istio.Files{Secret: s.Name + ".yaml", Root: "root.pem"}}
		yaml, err := envoyconf.Bootstrap(side.Config())
		require.NoError(t, err)
		require.NotContains(t, string(yaml), "/run/", "nothing of one lab")
		_, err = envoyconf.Read(yaml, s.Name)
		require.NoError(t, err)
	}
	i := slices.IndexFunc(services, func(s istio.Service) bool { return s.Name == "reviews" })
	require.Len(t, services[i].Pods, 3)
}

// completed has chosen what Up chooses.
func completed(spec lab.Spec) lab.Spec {
	for i := range spec.Services {
		v := &spec.Services[i]
		v.Namespace, v.IP, v.Ports[0].Target = "default", fmt.Sprintf("10.96.0.%d", 11+i), bookinfoPort
	}
	return spec
}

// A system with a baseline of its own has a ratio to it beside the one to the
// first, also taken within repeats.
func TestOwnBaseline(t *testing.T) {
	drift := map[string]float64{}
	run := func(name, own string, us float64) cell {
		return cell{name: name, connections: 1, baseline: own, measure: func(context.Context) (sample, error) {
			drift[name]++
			return sample{result: answered(us*drift[name], 10)}, nil
		}}
	}
	rows, err := runCells(t.Context(), []cell{run("base", "", 100), run("k", "k", 200), run("mesh", "k", 500)}, 3, noProgress)
	require.NoError(t, err)
	require.Nil(t, rows[0].ToBaseline)
	require.Equal(t, 1.0, rows[1].ToBaseline.P90)
	require.InDelta(t, 2.5, rows[2].ToBaseline.P50, .01)
	require.InDelta(t, 5, rows[2].Ratio.P50, .02)
	require.Equal(t, "k", rows[2].Baseline)
	b, err := json.Marshal(rows[0])
	require.NoError(t, err)
	require.NotContains(t, string(b), "baseline")
}

// A baseline is measured with the systems that it is for, and not without.
func TestWantsCluster(t *testing.T) {
	for systems, want := range map[string]bool{"": true, "envoy": false, "k8s_with_istio": true, "envoy,k8s_sidecar": true, clusterBase: true} {
		r := &Run{}
		if systems != "" {
			r.Systems = strings.Split(systems, ",")
		}
		require.Equal(t, want, r.wantsCluster(), systems)
	}
}
