package clusterdns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/meshnic/meshnic/internal/failure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const text = `{"domain": "cluster.local", "services": [
	{"name": "reviews", "namespace": "default", "ip": "10.96.0.12"},
	{"name": "kube-dns", "namespace": "kube-system", "ip": "10.96.0.10"}]}`

func answerer(t testing.TB) *Answerer {
	z, err := ParseZone([]byte(text), "zone.json")
	require.NoError(t, err)
	return NewAnswerer(z)
}

func ask(t testing.TB, name string, of dnsmessage.Type) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: of, Class: dnsmessage.ClassINET}}}
	b, err := m.Pack()
	require.NoError(t, err)
	return b
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   dnsmessage.Type
		code dnsmessage.RCode
		addr string // or none, and then a SOA
	}{
		{"reviews.default.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, "10.96.0.12"},
		{"Reviews.Default.svc.Cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, "10.96.0.12"},
		{"kube-dns.kube-system.svc.cluster.local.", dnsmessage.TypeALL, dnsmessage.RCodeSuccess, "10.96.0.10"},
		{"reviews.default.svc.cluster.local.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, ""},
		{"default.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, ""},
		{"svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, ""},
		{"cluster.local.", dnsmessage.TypeNS, dnsmessage.RCodeSuccess, ""},
		{"ratings.default.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"reviews.other.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"x.reviews.default.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"reviews.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"example.com.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
	} {
		var m dnsmessage.Message
		require.NoError(t, m.Unpack(answerer(t).Answer(nil, ask(t, tt.name, tt.of))), tt.name)
		require.Equal(t, tt.code, m.RCode, tt.name)
		require.True(t, m.Response && m.Authoritative && m.RecursionDesired && m.ID == 7, tt.name)
		require.Equal(t, tt.name, m.Questions[0].Name.String(), "the question comes back as it was")
		if tt.addr == "" {
			require.Empty(t, m.Answers, tt.name)
			require.Equal(t, dnsmessage.TypeSOA, m.Authorities[0].Header.Type, tt.name)
			continue
		}
		require.Equal(t, &dnsmessage.AResource{A: netip.MustParseAddr(tt.addr).As4()}, m.Answers[0].Body, tt.name)
		require.EqualValues(t, 30, m.Answers[0].Header.TTL)
	}
}

func TestWhatIsNoQuestion(t *testing.T) {
	a := answerer(t)
	good := ask(t, "reviews.default.svc.cluster.local.", dnsmessage.TypeA)
	with := func(f func([]byte)) []byte {
		b := append([]byte(nil), good...)
		f(b)
		return a.Answer(nil, b)
	}
	code := func(b []byte) dnsmessage.RCode { return dnsmessage.RCode(b[3] & 15) }
	require.Nil(t, a.Answer(nil, good[:11]), "no header")
	require.Nil(t, with(func(b []byte) { b[2] |= 0x80 }), "an answer")
	require.Equal(t, dnsmessage.RCodeFormatError, code(a.Answer(nil, good[:20])))
	require.Equal(t, dnsmessage.RCodeFormatError, code(with(func(b []byte) { b[5] = 0 })), "no question")
	require.Equal(t, dnsmessage.RCodeNotImplemented, code(with(func(b []byte) { b[2] |= 5 << 3 })), "an update")
	require.Equal(t, dnsmessage.RCodeRefused, code(with(func(b []byte) { b[len(b)-1] = 3 })), "of another class")
	two := dnsmessage.Message{Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName("a."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}, {Name: dnsmessage.MustNewName("b."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	b, err := two.Pack()
	require.NoError(t, err)
	require.Equal(t, dnsmessage.RCodeFormatError, code(a.Answer(nil, b)))
}

// Go's own resolver gets the same over UDP and TCP.
func TestServe(t *testing.T) {
	// An address of this process's own: nobody else takes the port between now and then.
	pid := os.Getpid()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, max(pid&255, 1)))
	require.NoError(t, err)
	at := l.Addr().(*net.TCPAddr).AddrPort()
	require.NoError(t, l.Close())
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- Serve(ctx, at, answerer(t)) }()
	for _, network := range []string{"udp", "tcp"} {
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at.String())
		}}
		require.Eventually(t, func() bool {
			addrs, err := r.LookupHost(ctx, "reviews.default.svc.cluster.local.")
			return err == nil && len(addrs) == 1 && addrs[0] == "10.96.0.12"
		}, 30*time.Second, 10*time.Millisecond, network)
		_, err := r.LookupHost(ctx, "nobody.default.svc.cluster.local.")
		var d *net.DNSError
		require.ErrorAs(t, err, &d)
		require.True(t, d.IsNotFound, "%v", err)
	}
	require.Equal(t, failure.Usage, failure.KindOf(Serve(ctx, at, answerer(t))), "the address is taken")
	cancel()
	require.NoError(t, <-served)
}

func TestResolv(t *testing.T) {
	require.Equal(t, "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
		Resolv(netip.MustParseAddr("10.96.0.10"), "shop", Domain))
}

func TestBadZones(t *testing.T) {
	for _, tt := range []struct{ in, why string }{
		{`{`, "unexpected end"}, {`{}`, "domain is empty"},
		{`{"domain":"d","services":[{"name":"a","namespace":"b","ip":"::1"}]}`, `services[0].ip is "::1"`},
		{`{"domain":"d","services":[{"name":"a","ip":"10.0.0.1"}]}`, "services[0] needs a name and a namespace"},
	} {
		_, err := ParseZone([]byte(tt.in), "f")
		require.ErrorContains(t, err, tt.why)
		require.Equal(t, failure.BadFile, failure.KindOf(err))
	}
}

// Whatever comes, what is answered can be read, and fits.
func FuzzAnswer(f *testing.F) {
	a := answerer(f)
	f.Add(ask(f, "reviews.default.svc.cluster.local.", dnsmessage.TypeA))
	f.Add(ask(f, strings.Repeat("a123456789.", 23), dnsmessage.TypeAAAA))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		out := a.Answer(nil, b)
		if out == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(out); err != nil || !m.Response || len(out) > maxUDP {
			t.Fatalf("%x is answered by %x, %d bytes: %v", b, out, len(out), err)
		}
	})
}
