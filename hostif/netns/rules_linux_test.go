package netns

import (
	"bytes"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/hostiftest"
)

func someServices() Cluster {
	at := netip.MustParseAddrPort
	return Cluster{Pods: netip.MustParsePrefix("10.77.9.0/24"), Services: netip.MustParsePrefix("10.96.0.0/12"), Ports: []ServicePort{
		{"ns1", "svc1", "p80", "tcp", at("10.96.0.41:80"), []netip.AddrPort{at("10.77.9.1:80")}},
		{"default", "reviews", "http", "tcp", at("10.96.0.42:9080"), []netip.AddrPort{at("10.77.9.14:9080"), at("10.77.9.15:9080"), at("10.77.9.16:80")}},
		{"default", "reviews", "", "udp", at("10.96.0.42:53"), []netip.AddrPort{at("10.77.9.14:53")}},
		{"default", "none", "http", "tcp", at("10.96.0.43:80"), nil},
	}}
}

// What SetRules loads is listed by nft as the same table read from Text is, also
// when it takes another one's place.
func TestRulesAreTheirText(t *testing.T) {
	hostiftest.NeedNet(t, func() error { _, err := exec.LookPath("nft"); return err })
	with(t, "a", "b")
	nft := func(ns, stdin string, args ...string) string {
		cmd := exec.Command("nft", args...)
		cmd.Stdin = strings.NewReader(stdin)
		var out, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &stderr
		require.NoError(t, Do(ns, cmd.Start))
		require.NoError(t, cmd.Wait(), "%s\n%s", stderr.String(), stdin)
		return out.String()
	}
	none := someServices()
	none.Ports = nil
	for _, r := range []Rules{KubeProxy(none), KubeProxy(someServices()), KubeProxy(none), Istio().Rules()} {
		require.NoError(t, SetRules(Name("t", "a"), r))
		nft(Name("t", "b"), r.Text(), "-f", "-")
		loaded := elements(nft(Name("t", "a"), "", "list", "table", "ip", r.table))
		require.Equal(t, elements(nft(Name("t", "b"), "", "list", "table", "ip", r.table)), loaded)
		require.Contains(t, loaded, "hook output")
		nft(Name("t", "b"), "", "delete", "table", "ip", r.table)
	}
}

var (
	// A set's elements come in the order of a hash with a seed of its own.
	elementList = regexp.MustCompile(`elements = \{[^}]*\}`)
	// The keys of an anonymous map are the machine's own numbers, but
	// google/nftables tells nft that they were not: it lists 1 as 1<<24.
	mapKey = regexp.MustCompile(`(\d+)( : goto endpoint)`)
)

func elements(listing string) string {
	listing = mapKey.ReplaceAllStringFunc(listing, func(s string) string {
		key, rest, _ := strings.Cut(s, " ")
		if n, _ := strconv.Atoi(key); n >= 1<<24 {
			key = strconv.Itoa(n >> 24)
		}
		return key + " " + rest
	})
	return elementList.ReplaceAllStringFunc(listing, func(s string) string {
		list := strings.Split(strings.Join(strings.Fields(strings.TrimSuffix(strings.TrimPrefix(s, "elements = {"), "}")), " "), ", ")
		slices.Sort(list)
		return strings.Join(list, "\n")
	})
}

// Names of chains are kube-proxy's: these are from its own tests.
func TestChainNames(t *testing.T) {
	require.Equal(t, "ULMVA6XW-ns1/svc1/tcp/p80", hashed("ns1/svc1/tcp/p80"))
	require.Equal(t, "5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80", hashed("ns1/svc1/tcp/p80__10.180.0.1/80"))
	text := KubeProxy(someServices()).Text()
	require.Contains(t, text, "\t\tip daddr 10.96.0.41 ip saddr != 10.77.9.0/24 jump mark-for-masquerade\n\t\tnumgen random mod 1 vmap { 0 : goto endpoint-")
	require.Contains(t, text, "10.96.0.43 . tcp . 80 : goto reject-chain")
}

func TestTheSameRulesHaveTheSameText(t *testing.T) {
	require.Equal(t, KubeProxy(someServices()).Text(), KubeProxy(someServices()).Text())
}
