package tcx_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/packet"
	"github.com/meshnic/meshnic/hostif/probe"
	"github.com/meshnic/meshnic/hostif/tcx"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/internal/spawn"
)

func TestMain(m *testing.M) { os.Exit(spawn.InOwn(m.Run)) }

// way is two veths a and b of a namespace, and a socket at each of the four ends: a
// and b are the near ones, A and B their peers.
type way struct {
	ns   int
	link map[string]*packet.Link
}

func newWay(t *testing.T) *way {
	hostiftest.NeedNet(t, probe.XDP) // it asks for the same capabilities
	w := &way{ns: hostiftest.NewNS(t), link: map[string]*packet.Link{}}
	far := hostiftest.NewNS(t)
	for _, near := range []string{"a", "b"} {
		peer := map[string]string{"a": "A", "b": "B"}[near]
		hostiftest.Veth(t, w.ns, near, far, peer, 1500)
		for name, ns := range map[string]int{near: w.ns, peer: far} {
			l, err := packet.Open(packet.Config{Name: name, NS: ns, NoOffload: true, Shared: true})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, l.Close()) })
			w.link[name] = l
		}
	}
	return w
}

func (w *way) index(t *testing.T, name string) (index int) {
	hostiftest.WithHandle(t, w.ns, func(h *netlink.Handle) {
		l, err := h.LinkByName(name)
		require.NoError(t, err)
		index = l.Attrs().Index
	})
	return index
}

func (w *way) open(t *testing.T, r tcx.Redirect) (l *tcx.Link, err error) {
	hostiftest.In(t, w.ns, func() { l, err = tcx.Open(r) })
	return l, err
}

// seq numbers the frames of all tests.
var seq uint32

// arrives sends a frame into one end and says whether another one hears it. Where
// it is not to come, one that goes the same way as ever is behind it.
func (w *way) arrives(t *testing.T, from, at string, want bool) {
	t.Helper()
	seq++
	n, err := w.link[from].Send([]*hostif.Frame{hostiftest.Frame(seq, 100)})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	patience := 5 * time.Second
	if !want {
		patience = 50 * time.Millisecond
	}
	got := false
	frames := make([]*hostif.Frame, 16)
	for end := time.Now().Add(patience); !got && time.Now().Before(end); hostiftest.Readable(w.link[at].Fd(), 5*time.Millisecond) {
		n, err := w.link[at].Recv(frames)
		require.NoError(t, err)
		for _, f := range frames[:n] {
			got = got || hostiftest.Seq(f.Data) == seq
		}
	}
	require.Equal(t, want, got, "a frame from %s at %s", from, at)
}

// What passes a hook leaves by another interface, or counts as arrived there, until
// the link is closed; nothing else does.
func TestRedirect(t *testing.T) {
	w := newWay(t)
	a, b := w.index(t, "a"), w.index(t, "b")
	for _, tt := range []struct {
		name     string
		r        tcx.Redirect
		from, at string // a frame is sent into from, and heard at
		kept     string // where it is not heard meanwhile
	}{
		{"arrived leaves", tcx.Redirect{From: a, At: tcx.Ingress, To: b, As: tcx.Egress}, "A", "B", ""},
		{"arrived arrives", tcx.Redirect{From: a, At: tcx.Ingress, To: b, As: tcx.Ingress}, "A", "b", "B"},
		{"sent leaves", tcx.Redirect{From: a, At: tcx.Egress, To: b, As: tcx.Egress}, "a", "B", "A"},
		{"sent arrives", tcx.Redirect{From: a, At: tcx.Egress, To: b, As: tcx.Ingress}, "a", "b", "A"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.arrives(t, tt.from, tt.at, false)
			l, err := w.open(t, tt.r)
			require.NoError(t, err)
			defer l.Close()
			w.arrives(t, tt.from, tt.at, true)
			if tt.kept != "" {
				w.arrives(t, tt.from, tt.kept, false)
			}
			w.arrives(t, "B", "b", true) // not from a: it goes where it always went
			require.NoError(t, l.Close())
			require.NoError(t, l.Close(), "again")
			w.arrives(t, tt.from, tt.at, false)
		})
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	w := newWay(t)
	_, err := w.open(t, tcx.Redirect{From: 1 << 20, At: tcx.Ingress, To: w.index(t, "a"), As: tcx.Egress})
	require.ErrorContains(t, err, "redirect interface 1048576")
	require.Equal(t, failure.Unexpected, failure.KindOf(err))
}
