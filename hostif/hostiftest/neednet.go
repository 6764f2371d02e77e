// Package hostiftest has what tests of links and namespaces share: the contract
// every hostif.Link keeps, and the gate for tests that build namespaces.
package hostiftest

import (
	"os"
	"testing"
)

// NeedNet runs the test only where namespaces and links can be made. It calls
// probe, which tries the feature the test needs; if that fails, the test is
// skipped with the reason, or fails when MESHNIC_REQUIRE_NET=1 (as in CI).
func NeedNet(t testing.TB, probe func() error) {
	t.Helper()
	err := probe()
	if err == nil {
		return
	}
	if os.Getenv("MESHNIC_REQUIRE_NET") == "1" {
		t.Fatalf("MESHNIC_REQUIRE_NET=1 and this host cannot run the test: %v", err)
	}
	t.Skipf("this host cannot run the test: %v", err)
}
