package attach

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/xdp"
	"github.com/meshnic/meshnic/internal/failure"
)

func TestParsePort(t *testing.T) {
	for _, tt := range []struct {
		in, ns string
		want   PortSpec
	}{
		{"a=veth0", "", PortSpec{"a", "veth0", ""}},
		{"a=veth0", "blue", PortSpec{"a", "veth0", "/run/netns/blue"}},
		{"a=veth0@green", "blue", PortSpec{"a", "veth0", "/run/netns/green"}},
		{"a=veth0@/proc/1/ns/net", "", PortSpec{"a", "veth0", "/proc/1/ns/net"}},
	} {
		got, err := ParsePort(tt.in, tt.ns)
		require.NoError(t, err, tt.in)
		require.Equal(t, tt.want, got)
	}
	for _, bad := range []string{"", "veth0", "=veth0", "a=", "a=b c", "a=interfacenametoolong", "a b=c", "a=x@"} {
		_, err := ParsePort(bad, "")
		require.Equal(t, failure.Usage, failure.KindOf(err), bad)
	}
}

func TestParseMode(t *testing.T) {
	for _, m := range []string{"auto", "xdp", "tap", "packet"} {
		got, err := ParseMode(m)
		require.NoError(t, err)
		require.Equal(t, Mode(m), got)
	}
	_, err := ParseMode("dpdk")
	require.ErrorContains(t, err, "auto, xdp, tap or packet")
}

func TestParseThreaded(t *testing.T) {
	for word, want := range map[string]xdp.Threaded{"auto": xdp.ThreadedAuto, "on": xdp.ThreadedOn, "off": xdp.ThreadedOff} {
		got, err := ParseThreaded(word)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseThreaded("yes")
	require.ErrorContains(t, err, "auto, on or off")
	require.Equal(t, failure.Usage, failure.KindOf(err))
}

func TestCheckPorts(t *testing.T) {
	require.NoError(t, checkPorts([]PortSpec{{"a", "x", ""}, {"b", "y", ""}}))
	require.NoError(t, checkPorts([]PortSpec{{"a", "eth0", "/run/netns/blue"}, {"b", "eth0", "/run/netns/green"}}), "same name, other namespaces")
	require.ErrorContains(t, checkPorts([]PortSpec{{"a", "x", ""}, {"b", "x", ""}}), "a and b are the same interface, x")
	require.ErrorContains(t, checkPorts([]PortSpec{{"a", "x", ""}, {"a", "y", ""}}), "two ports are named a")
	require.ErrorContains(t, checkPorts([]PortSpec{{"a", "x", ""}}), "at least two")
}
