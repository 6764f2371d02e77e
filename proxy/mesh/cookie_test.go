package mesh

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

func client() *Client {
	return &Client{Remote: netip.MustParseAddrPort("10.0.0.1:4000"), Local: netip.MustParseAddrPort("[fd00::1]:80")}
}

func hashes(policies ...HashPolicy) *RouteEntry {
	r := &RouteEntry{}
	r.compileHash(policies)
	return r
}

func TestHashByQuery(t *testing.T) {
	r := hashes(HashPolicy{Query: "id"})
	require.False(t, r.HashesClient())
	for target, want := range map[string]string{"/?id=1": "1", "/?a=b&id=%31&id=2": "%31", "/?id": "", "/?x&id=": "", "http://h?id=a=b": "a=b"} {
		x, ok := r.Hash(head(t, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n"), nil)
		require.True(t, ok, target)
		require.Equal(t, xxhash.Sum64String(want), x, target)
	}
	for _, target := range []string{"/", "/?", "/?ID=1", "/id=1", "/?xid=1"} {
		_, ok := r.Hash(head(t, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n"), nil)
		require.False(t, ok, target)
	}
}

func TestHashByAddress(t *testing.T) {
	r := hashes(HashPolicy{SourceIP: true})
	require.True(t, r.HashesClient())
	for forwarded, want := range map[string]string{
		"": "10.0.0.1", "x-forwarded-for: 1.2.3.4\r\n": "1.2.3.4", "x-forwarded-for: 1.2.3.4, 5.6.7.8 \r\n": "5.6.7.8", "x-forwarded-for: 1.2.3.4,\r\n": "10.0.0.1",
		"x-forwarded-for: FD00:0::A\r\n": "fd00::a", "x-forwarded-for: 1.2.3.4:80\r\n": "10.0.0.1", "x-forwarded-for: fe80::1%lo\r\n": "10.0.0.1",
		"x-forwarded-for: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\n": "5.6.7.8",
	} {
		x, ok := r.Hash(head(t, "GET / HTTP/1.1\r\nHost: a\r\n"+forwarded+"\r\n"), client())
		require.True(t, ok)
		require.Equal(t, xxhash.Sum64String(want), x, "%q", forwarded)
	}
}

func TestGivenCookie(t *testing.T) {
	r := hashes(HashPolicy{Cookie: "a", Give: &GivenCookie{TTL: 90 * time.Second, Path: "/p"}}, HashPolicy{Cookie: "b", Give: &GivenCookie{Attributes: []CookieAttribute{{Name: "Secure"}, {Name: "SameSite", Value: "Lax"}}}})
	require.True(t, r.HashesClient())
	value := fmt.Sprintf("%016x", xxhash.Sum64String("10.0.0.1:4000[fd00::1]:80"))
	a, b := "set-cookie: a=\""+value+"\"; Max-Age=90; Path=/p; HttpOnly\r\n", "set-cookie: b=\""+value+"\"; Secure; SameSite=Lax; HttpOnly\r\n"
	for fields, want := range map[string]string{"": a + b, "cookie: a=1\r\n": b, "cookie: b=1\r\n": a, "cookie: a=1; b=2\r\n": ""} {
		c := client()
		_, ok := r.Hash(head(t, "GET / HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n"), c)
		require.True(t, ok)
		require.Equal(t, want, string(r.appendCookies(nil, c)))
	}
	without, _ := r.Hash(head(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), client())
	with, _ := r.Hash(head(t, "GET / HTTP/1.1\r\nHost: a\r\ncookie: a="+value+"; b="+value+"\r\n\r\n"), client())
	require.Equal(t, with, without)
}

func TestHashOfClientsDoesNotAllocate(t *testing.T) {
	r := hashes(HashPolicy{Query: "id"}, HashPolicy{SourceIP: true}, HashPolicy{Cookie: "a", Give: &GivenCookie{}})
	h, c, dst := head(t, "GET /?id=1 HTTP/1.1\r\nHost: a\r\n\r\n"), client(), make([]byte, 0, 256)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		r.Hash(h, c)
		r.appendCookies(dst, c)
	}))
}
