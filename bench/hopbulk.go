package bench

import (
	"context"
	"net/netip"
	"time"

	"github.com/meshnic/meshnic/bench/load"
)

// bulkBody is the length of a bulk response, bytes: what its request costs is less
// than a hundredth of it.
const bulkBody = 4 << 20

// hopBulkWindow is how long bulk responses are measured.
const hopBulkWindow = 600 * time.Millisecond

// bulkResponses starts a backend that answers with bulkBody bytes.
func (g *rig) bulkResponses(addr string) error {
	cfg := load.ServeConfig{Listen: netip.MustParseAddrPort(addr), Size: bulkBody}
	return g.start(service, "server", "bulk", addr, g.self(cfg, "__load", "serve"))
}

// withBulk measures as before, and in the first repeats also the throughput of bulk
// responses from target, one after the other on one connection.
func (g *rig) withBulk(target string, measure func(context.Context) (sample, error)) func(context.Context) (sample, error) {
	length := int64(bulkBody)
	w := g.http("client", target, 1, g.run.window(hopBulkWindow), load.Check{BodyLen: &length}, "/")
	repeat := 0
	return func(ctx context.Context) (sample, error) {
		s, err := measure(ctx)
		if repeat++; err != nil || repeat > bulkRepeats {
			return s, err
		}
		res, err := g.load(ctx, w)
		if err != nil {
			return s, err
		}
		s.gbps = res.RPS * bulkBody * 8 / 1e9
		return s, nil
	}
}
