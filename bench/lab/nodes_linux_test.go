package lab

import (
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif/netns"
)

// Pods of two nodes reach each other, services and the name server wherever they
// are, in packets that fit; each node has the rules, and what goes between nodes
// goes in VXLAN.
func TestTwoNodes(t *testing.T) {
	spec := twoPods("t")
	spec.Nodes = 2
	spec.Hosts = []Host{{Name: "client"}, {Name: "a", Node: 1}, {Name: "b", Node: 2}, {Name: "other"}}
	spec.Services = append(spec.Services[1:], Service{Name: "s", Ports: []ServicePort{{Port: 80, Target: 9080}}, Pods: []string{"a", "b"}})
	l := mustUp(t, spec)
	_, err := l.StartDNS(nameServer(), false)
	require.NoError(t, err)
	require.Equal(t, []int{1, 1, 2, 2}, []int{l.spec.nodeOf(0), l.spec.nodeOf(1), l.spec.nodeOf(2), l.spec.nodeOf(3)}, "in turns, unless told")
	serveAll(t, l, "a", "b")
	for _, from := range []string{"client", "other"} {
		counts := dial(t, l, from, "s:80", 200)
		require.Equal(t, 200, counts["a"]+counts["b"], from)
		require.Greater(t, min(counts["a"], counts["b"]), 50, from)
	}
	require.Equal(t, map[string]int{"b": 20}, dial(t, l, "b", l.IP("b")+":9080", 20))

	in := func(host, command string) string {
		out, err := exec.Command("ip", append([]string{"netns", "exec", l.spec.ns(host)}, strings.Fields(command)...)...).CombinedOutput()
		require.NoError(t, err, "%s: %s", command, out)
		return string(out)
	}
	for _, pod := range []string{"client", "a", "b", "other"} {
		require.Contains(t, in(pod, "ip link show eth0"), "mtu 1450")
	}
	for _, node := range []string{nodeHost, secondNode} {
		link := in(node, "ip -d link show flannel.1")
		require.Contains(t, link, "vxlan id 1")
		require.Contains(t, link, "mtu 1450")
		require.Contains(t, in(node, "ip link show eth0"), "mtu 1500")
		require.Contains(t, in(node, "nft list table ip kube-proxy"), "default/s/tcp/")
	}
	// The longest packet that fits passes whole, one byte more does not.
	var far net.PacketConn
	require.NoError(t, l.Do("b", func() (err error) { far, err = net.ListenPacket("udp", l.IP("b")+":0"); return err }))
	defer far.Close()
	var near net.Conn
	require.NoError(t, l.Do("client", func() (err error) {
		d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
			})
		}}
		near, err = d.DialContext(t.Context(), "udp", far.LocalAddr().String())
		return err
	}))
	defer near.Close()
	_, err = near.Write(make([]byte, 1450-28))
	require.NoError(t, err)
	far.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, _, err := far.ReadFrom(make([]byte, 2000))
	require.NoError(t, err)
	require.Equal(t, 1450-28, n)
	_, err = near.Write(make([]byte, 1451-28))
	require.ErrorIs(t, err, syscall.EMSGSIZE)

	// What is refused, on both nodes, and endpoints that change on both.
	try := func(from, addr string) (err error) {
		return l.Do(from, func() error {
			c, err := net.DialTimeout("tcp", addr, 20*time.Second)
			if err == nil {
				c.Close()
			}
			return err
		})
	}
	s, _ := l.Service("s")
	none, _ := l.Service("none.shop")
	for _, from := range []string{"client", "other"} {
		require.ErrorIs(t, try(from, none.IP+":80"), syscall.ECONNREFUSED, from)
	}
	require.NoError(t, l.SetEndpoints("s"))
	for _, from := range []string{"client", "other"} {
		require.ErrorIs(t, try(from, s.IP+":80"), syscall.ECONNREFUSED, from)
	}
	require.NoError(t, l.SetEndpoints("s", "b"))
	require.Equal(t, map[string]int{"b": 20}, dial(t, l, "client", "s:80", 20))
}

// A pod's packets have no way but the NIC's.
func TestPodsBehindANIC(t *testing.T) {
	spec := twoPods("t")
	spec.Hosts[1].NIC = true
	l := mustUp(t, spec)
	var ports []string
	for _, p := range l.SwitchPorts() {
		ports = append(ports, p.Host+" "+p.IfName+" "+p.PeerIf)
		require.Equal(t, l.Namespace(NICHost), p.NSPath)
		require.NoError(t, netns.DoPath(p.NSPath, func() error { _, err := net.InterfaceByName(p.IfName); return err }))
		require.NoError(t, netns.DoPath(p.PeerNSPath, func() error {
			i, err := net.InterfaceByName(p.PeerIf)
			if err == nil {
				require.Equal(t, p.PeerMAC, i.HardwareAddr.String())
			}
			return err
		}))
	}
	require.Equal(t, []string{"node p-node nic0", "b p-b eth0"}, ports)
	require.Equal(t, NICHost, l.NICHost())
	require.Error(t, l.Do("a", func() error {
		c, err := net.DialTimeout("tcp", l.IP("b")+":9080", 200*time.Millisecond)
		if err == nil {
			c.Close()
		}
		return err
	}))
	require.NoError(t, bridged(l), "with a bridge in the NIC's stead")
	serve(t, l, "b", ":9080", "b")
	require.Equal(t, map[string]int{"b": 5}, dial(t, l, "a", l.IP("b")+":9080", 5))
	require.Equal(t, map[string]int{"b": 5}, dial(t, l, "b", l.IP("b")+":9080", 5))
}

// bridged joins the NIC's ports by a bridge.
func bridged(l *Lab) error {
	ns := l.spec.ns(NICHost)
	if err := netns.Bridge(ns, bridgeIf, 1500); err != nil {
		return err
	}
	for _, p := range l.SwitchPorts() {
		if err := netns.Enslave(ns, p.IfName, bridgeIf); err != nil {
			return err
		}
	}
	if err := netns.SetUp(ns, bridgeIf); err != nil {
		return err
	}
	return netns.WaitUp(ns, bridgeIf, settleTime)
}

func TestBadNodes(t *testing.T) {
	for text, change := range map[string]func(*Spec){
		"it has 3 nodes":            func(s *Spec) { s.Nodes = 3 },
		"MTU is 117, want 118":      func(s *Spec) { s.Nodes, s.MTU = 2, 117 },
		"in 172.18.0.0/16":          func(s *Spec) { s.Nodes, s.Hosts[0].IP, s.Hosts[1].IP = 2, "172.18.0.8", "172.18.0.9" },
		"a is on node 2, want 1":    func(s *Spec) { s.Hosts[0].Node = 2 },
		"a is on node -1":           func(s *Spec) { s.Hosts[0].Node = -1 },
		"behind a NIC on node 2":    func(s *Spec) { s.Nodes, s.Hosts[0].NIC, s.Hosts[0].Node = 2, true, 2 },
		`"node2" is taken`:          func(s *Spec) { s.Nodes, s.Hosts[0].Name = 2, secondNode },
		`"nic" is taken`:            func(s *Spec) { s.Hosts[1].NIC, s.Hosts[0].Name = true, NICHost },
		"is the node's":             func(s *Spec) { s.Nodes, s.Hosts[0].IP, s.Hosts[1].IP = 2, "10.77.1.2", "10.77.1.9" },
		"bridge has no nodes":       func(s *Spec) { *s = twoHosts("t"); s.Nodes = 2 },
		"host a has what only pods": func(s *Spec) { *s = twoHosts("t"); s.Hosts[0].NIC = true },
	} {
		spec := twoPods("t")
		spec.Services = nil
		change(&spec)
		_, err := Plan(spec)
		require.ErrorContains(t, err, text)
	}
	spec := twoPods("t")
	spec.Nodes = 2
	_, err := Plan(spec)
	require.NoError(t, err)
}
