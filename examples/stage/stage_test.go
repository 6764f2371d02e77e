package stage

import (
	"testing"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
)

func TestRouter(t *testing.T) {
	v4 := func(ttl uint8) Frame { return Eth().IPv4("10.0.0.1", "10.0.1.1").TCP(4000, 80, "S").TTL(ttl) }
	v6 := func(ttl uint8) Frame { return Eth().IPv6("2001:db8::1", "2001:db8::2").UDP(53, 53).TTL(ttl) }
	arp := Eth().ARP(1, DefaultSrc, "10.0.0.1", DefaultDst, "10.0.0.2")
	Run(t, func(testing.TB) datapath.Stage { return new(Router) }, []Row{
		{Name: "IPv4 ages, and its checksum follows", In: v4(64), Out: v4(63), Verdict: datapath.Continue},
		{Name: "IPv6 ages", In: v6(2), Out: v6(1), Verdict: datapath.Continue},
		{Name: "the last hop is lost", In: v4(1), Verdict: datapath.Drop, Reason: datapath.DropTable},
		{Name: "so is one that should not exist", In: v4(0), Verdict: datapath.Drop, Reason: datapath.DropTable},
		{Name: "ARP has no age", In: arp, Out: arp, Verdict: datapath.Continue},
	})
}
