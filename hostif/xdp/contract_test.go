//go:build linux

package xdp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
)

// The contract, between two groups at the ends of a veth (every frame is copied
// in), between two ports of one group (a hairpin moves), and with frames larger
// than a chunk.
func TestContract(t *testing.T) {
	needXDP(t)
	for _, tt := range []struct {
		name string
		mtu  int
		one  bool
	}{
		{"two groups", 1500, false},
		{"one group", 1500, true},
		{"MTU 3498", 3498, false},
		{"MTU 9000", 9000, false},
		{"MTU 9000, one group", 9000, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hostiftest.RunLink(t, func(t *testing.T) (a, b hostif.Link) {
				ns := newNS(t)
				require.NoError(t, addVeth(ns, "a", ns, "b", tt.mtu))
				var gs []*Group
				if tt.one {
					gs = append(gs, open(t, Config{Ifaces: []Iface{{"a", ns}, {"b", ns}}}))
					a, b = gs[0].Links[0], gs[0].Links[1]
				} else {
					gs = append(gs, open(t, Config{Ifaces: []Iface{{"a", ns}}}), open(t, Config{Ifaces: []Iface{{"b", ns}}}))
					a, b = gs[0].Links[0], gs[1].Links[0]
				}
				t.Cleanup(func() {
					for _, g := range gs {
						require.NoError(t, g.Check())
					}
				})
				return a, b
			})
		})
	}
}
