package mac_test

import (
	"strings"
	"testing"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/mac"
)

func frame(n int) Frame {
	return Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A").Payload(strings.Repeat("x", n-54))
}

func TestReceive(t *testing.T) {
	Run(t, func(testing.TB) datapath.Stage { return &mac.Receive{MaxFrame: 1514} }, []Row{
		{Name: "as long as allowed", In: frame(1514), Out: frame(1514)},
		{Name: "one byte more", In: frame(1515), Verdict: datapath.Drop, Reason: datapath.DropOverlong},
		{Name: "stands for several segments", In: frame(20000), Out: frame(20000), Prepare: func(p *datapath.Packet) { p.GSOSize = 1448 }},
	})
}
