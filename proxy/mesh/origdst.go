package mesh

import "time"

// Interception is how a listener comes to connections that were meant for others,
// and what becomes of them.
type Interception struct {
	OriginalDst bool `json:"original_dst,omitempty"`     // finds out where a connection was going: Envoy's listener filter of that name
	HandOver    bool `json:"use_original_dst,omitempty"` // and hands it to the listener of that address, if there is one
	Transparent bool `json:"transparent,omitempty"`      // takes connections to any address (TPROXY); needs CAP_NET_ADMIN
	Unbound     bool `json:"unbound,omitempty"`          // has no socket of its own: gets what others hand over
}

// DefaultCleanup is Envoy's default for Cluster.Cleanup.
const DefaultCleanup = 5 * time.Second

func (v *validator) originalDst(path string, c *Cluster) {
	switch {
	case c.Cleanup < 0:
		v.fail(path+".cleanup_interval", "is %v, want 0 (%v) or more", c.Cleanup, DefaultCleanup)
	case !c.OriginalDst && c.Cleanup != 0:
		v.fail(path+".cleanup_interval", "is for clusters of the original destination")
	case c.OriginalDst && len(c.Endpoints) > 0:
		v.fail(path+".endpoints", "is not empty, and the cluster is the original destination")
	case c.OriginalDst && c.Policy != "":
		v.fail(path+".lb_policy", "is %q, and the cluster is the original destination", c.Policy)
	case c.OriginalDst && c.Check != nil:
		v.fail(path+".health_check", "is for endpoints, and there are none")
	case c.OriginalDst && c.Outliers != nil:
		v.fail(path+".outlier_detection", "is not supported where the cluster is the original destination")
	}
}
