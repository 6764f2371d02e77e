package attach

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/internal/failure"
)

// Two NICs at one interface would each pass every frame on.
func TestInterfaceIsPortOfOneNIC(t *testing.T) {
	ns, _ := newVeth(t)
	hostiftest.Veth(t, ns, "near2", ns, "far2", 1500)
	hostiftest.Veth(t, ns, "near3", ns, "far3", 1500)
	hostiftest.In(t, ns, func() {
		a, b, c := PortSpec{"a", "near", ""}, PortSpec{"b", "near2", ""}, PortSpec{"c", "near3", ""}
		set, err := Open([]PortSpec{a, b}, Options{Mode: Packet})
		require.NoError(t, err)
		for _, m := range []Mode{Packet, XDP} {
			_, err = Open([]PortSpec{c, b}, Options{Mode: m})
			require.Equal(t, failure.Conflict, failure.KindOf(err), "%v", err)
			require.ErrorContains(t, err, fmt.Sprintf("port b to near2: in use: it is a port of the NIC of process %d", os.Getpid()))
		}
		require.NoError(t, set.Close())
		set, err = Open([]PortSpec{c, b}, Options{Mode: Packet})
		require.NoError(t, err)
		require.NoError(t, set.Close())
	})
}
