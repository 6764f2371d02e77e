package lab

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
)

// What Plan prints, typed into a shell, makes what Up makes.
func TestPlanIsWhatUpDoes(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	for _, prog := range []string{"ip", "bridge", "nft", "sysctl", "sh"} {
		if _, err := exec.LookPath(prog); err != nil {
			t.Skip(err)
		}
	}
	for _, kind := range []string{"direct", "bridge", "ports", "taps", "kubernetes", "kubernetes, two nodes", "kubernetes, NIC"} {
		t.Run(kind, func(t *testing.T) {
			name, more, _ := strings.Cut(kind, ", ")
			fabric := Fabric(name)
			before := snapshot(t)
			t.Cleanup(func() { Down("t", true, nil) })
			spec := twoHosts("t")
			spec.Fabric, spec.MTU, spec.StaticNeighbours = fabric, 4000, true
			spec.Hosts[0].Balance = []VIP{{Addr: "10.96.0.1:80", Backends: []string{"10.77.230.11:80", "10.77.230.11:81", "10.77.230.12:80"}}}
			if fabric == Kubernetes {
				spec = twoPods("t")
				spec.MTU, spec.StaticNeighbours = 4000, true
				spec.Hosts[1].Sidecar = true
				switch more {
				case "two nodes":
					spec.Nodes = 2
				case "NIC":
					spec.Hosts[0].NIC = true
				}
			}
			l, err := Up(t.Context(), spec)
			require.NoError(t, err)
			up := describe(t)
			require.NoError(t, l.Down())

			text, err := Plan(spec)
			require.NoError(t, err)
			out, err := exec.Command("sh", "-ec", text).CombinedOutput()
			require.NoError(t, err, "%s\n%s", text, out)
			for _, h := range spec.Hosts {
				if fabric != Taps {
					require.NoError(t, netns.WaitUp(netns.Name("t", h.Name), HostIf, settleTime))
				}
			}
			require.Equal(t, up, describe(t))
			_, err = Down("t", false, nil)
			require.NoError(t, err)
			exec.Command("umount", netns.Dir).Run() // "ip netns add" mounts the directory on itself
			exec.Command("rmdir", netns.Dir).Run()
			require.Equal(t, before, snapshot(t))
		})
	}
}

// describe returns what is in the lab's namespaces.
func describe(t *testing.T) string {
	t.Helper()
	names, err := netns.Namespaces("t")
	require.NoError(t, err)
	var b strings.Builder
	for _, n := range names {
		for _, cmd := range []string{"ip -d addr", "ip route show table all", "ip neigh show nud permanent", "nft list ruleset", "bridge fdb show",
			"sysctl net.ipv6.conf.default.disable_ipv6"} {
			f := append([]string{"netns", "exec", n}, strings.Fields(cmd)...)
			out, err := exec.Command("ip", f...).CombinedOutput()
			require.NoError(t, err, "%s: %s", cmd, out)
			if strings.HasPrefix(cmd, "ip neigh") { // in the order of a hash
				lines := slices.Sorted(strings.Lines(string(out)))
				out = []byte(strings.Join(lines, ""))
			}
			b.WriteString(n + ": " + cmd + "\n" + string(out))
		}
	}
	text := elementList.ReplaceAllStringFunc(b.String(), func(s string) string {
		list := strings.Fields(strings.ReplaceAll(s, ",", ""))
		slices.Sort(list)
		return strings.Join(list, " ")
	})
	return accidental.ReplaceAllString(text, "-")
}

// elementList is a set's elements, whose order is that of a hash with a seed.
var elementList = regexp.MustCompile(`elements = \{[^}]*\}`)

// accidental is what differs from one time to the next: addresses the kernel
// chose, numbers of namespaces, timers, and the keys of anonymous maps (netns).
var accidental = regexp.MustCompile(`[0-9a-f]{2}(:[0-9a-f]{2}){5}|8000\.[0-9a-f.:-]+|link-netnsid \d+|_timer +[0-9.]+|\b16777216 : goto|\b1 : goto`)
