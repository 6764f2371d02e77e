package packet_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/packet"
	"github.com/meshnic/meshnic/internal/failure"
)

const (
	nobody    = 65534
	insideVar = "MESHNIC_PACKET_TEST_INSIDE"
)

// as runs this test binary again as the user nobody, through the given command.
func as(t *testing.T, inside, tests string, through ...string) (string, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("already runs without privilege")
	}
	if m, err := os.ReadFile("/proc/self/uid_map"); err != nil || strings.Fields(string(m))[2] != "4294967295" {
		t.Skip("already runs in a user namespace")
	}
	// nobody may not walk to the binary's directory, but may run an open file.
	exe, err := os.Open("/proc/self/exe")
	require.NoError(t, err)
	defer exe.Close()
	args := append(through, "/proc/self/fd/3", "-test.run="+tests, "-test.v", "-test.timeout=120s")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.ExtraFiles = []*os.File{exe}
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), insideVar+"="+inside, "HOME=/", "TMPDIR=/tmp")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: false}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The whole suite holds for a user without any privilege, inside a user and
// network namespace of their own.
func TestUnprivileged(t *testing.T) {
	hostiftest.NeedNet(t, func() error { return exec.Command("unshare", "-Urn", "true").Run() })
	out, err := as(t, "userns", "^(TestContract|TestVLANTag|TestShield|TestFinishesInSoftware|TestUnprivilegedTCP)$", "unshare", "-Urnm")
	require.NoError(t, err, out)
	require.Contains(t, out, "PASS")
	require.Contains(t, out, "--- PASS: TestContract")
	require.Contains(t, out, "--- PASS: TestUnprivilegedTCP")
	for line := range strings.Lines(out) {
		if strings.Contains(line, "Gbit/s") || strings.Contains(line, "RxFrames") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// TestUnprivilegedTCP is run by TestUnprivileged inside its namespace.
func TestUnprivilegedTCP(t *testing.T) {
	if os.Getenv(insideVar) != "userns" {
		t.Skip("TestUnprivileged runs it")
	}
	uid, err := os.ReadFile("/proc/self/uid_map")
	require.NoError(t, err)
	require.Equal(t, "65534", strings.Fields(string(uid))[1])
	client, server := hostiftest.NewNS(t), hostiftest.NewNS(t)
	mid := hostiftest.NewNS(t)
	hostiftest.Veth(t, client, "eth0", mid, "ma", 1500)
	hostiftest.Veth(t, server, "eth0", mid, "mb", 1500)
	hostiftest.SetUp(t, client, "eth0", "10.9.0.1/24")
	hostiftest.SetUp(t, server, "eth0", "10.9.0.2/24")
	a, b := open(t, packet.Config{Name: "ma", NS: mid}), open(t, packet.Config{Name: "mb", NS: mid})
	hostiftest.Forward(t, a, b, nil)
	hostiftest.TCP(t, client, server, "10.9.0.2:0", 16<<20)
	require.Zero(t, hostiftest.Snmp(t, server, "Tcp", "InCsumErrors"))
	t.Logf("%.1f Gbit/s", hostiftest.Iperf(t, client, server, "10.9.0.2", 2))
	t.Logf("a %+v", a.Stats())
	t.Logf("b %+v", b.Stats())
}

// Without a namespace of one's own the failure names the capability.
func TestPrivilege(t *testing.T) {
	out, err := as(t, "plain", "^TestPrivilegeInside$")
	require.NoError(t, err, out)
	require.Contains(t, out, "--- PASS: TestPrivilegeInside")
}

// TestPrivilegeInside is run by TestPrivilege as an ordinary user.
func TestPrivilegeInside(t *testing.T) {
	if os.Getenv(insideVar) != "plain" {
		t.Skip("TestPrivilege runs it")
	}
	_, err := packet.Open(packet.Config{Name: "lo"})
	require.Equal(t, failure.Privilege, failure.KindOf(err))
	require.ErrorIs(t, err, hostif.ErrPrivilege)
	require.ErrorContains(t, err, "CAP_NET_RAW")
	require.ErrorContains(t, err, "unshare -Urn")
}
