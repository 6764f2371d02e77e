package container

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChooseInterface(t *testing.T) {
	two := []link{{"eth0", "veth", []string{"172.17.0.2/16"}}, {"eth1", "veth", nil}}
	p, err := choose("x", two[:1], "")
	require.NoError(t, err)
	require.Equal(t, Place{Inside: "eth0", Addrs: []string{"172.17.0.2/16"}}, p)
	p, err = choose("x", two, "eth1")
	require.NoError(t, err)
	require.Equal(t, "eth1", p.Inside)
	_, err = choose("x", two, "")
	require.ErrorContains(t, err, "several networks: eth0 (172.17.0.2/16), eth1")
	require.ErrorContains(t, err, "--interface eth0")
	_, err = choose("x", two, "eth2")
	require.ErrorContains(t, err, "no interface eth2")
	_, err = choose("x", nil, "")
	require.ErrorContains(t, err, "docker network connect")
}

// A process that is not there, or is on the host's network.
func TestPlaceOfNobody(t *testing.T) {
	c := Container{Name: "x", State: "exited"}
	_, err := c.Place("")
	require.ErrorContains(t, err, "it is not running: exited")
	c = Container{Name: "x", Pid: 1 << 30}
	_, err = c.Place("")
	require.ErrorContains(t, err, "hostPID: true")
	c = Container{Name: "x", NetNS: "/proc/self/ns/net"}
	_, err = c.Place("")
	require.ErrorContains(t, err, "it uses the host's network")
}
