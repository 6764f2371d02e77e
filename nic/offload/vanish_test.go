package offload

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	dt "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// byHand is an Offload with listener 10.0.0.200:80 before 10.0.0.3:80, whose hosts are played
// by hand.
type byHand struct {
	t     *testing.T
	o     *Offload
	parse *parser.Parser
	now   sim.Cycle
	out   []sent
	turns int // of the timers
}

// sent is a segment that left.
type sent struct {
	datapath.PHV
	to      wire.MAC
	payload string
}

// far is the other end of one of its connections: behind the last byte that it has sent and got.
type far struct {
	h         *byHand
	eth       dt.Frame
	port, its uint16
	seq, got  uint32
}

func newByHand(t *testing.T, cfg Config) *byHand {
	if cfg.Mesh.Listeners == nil {
		cfg.Mesh = oneRoute("10.0.0.200:80", "10.0.0.3:80", nil)
	}
	h := &byHand{t: t, o: newSmall(t, cfg), parse: parser.New(parser.Config{VerifyChecksums: true}), now: 1000}
	h.at("10.0.0.3", "02:00:00:00:00:03")
	return h
}

// at has host ip say where it is.
func (h *byHand) at(ip, mac string) {
	h.process(dt.Eth("02:6e:69:63:00:01", mac).ARP(wire.ARPReply, mac, ip, "02:6e:69:63:00:01", "10.0.0.200"))
}

func (h *byHand) process(f []byte) {
	h.out = nil
	p := datapath.Packet{Data: append([]byte(nil), f...)}
	require.Equal(h.t, datapath.Continue, h.parse.Process(0, &p), "%v", p.Reason)
	v := h.o.Process(h.now, &p)
	h.take()
	if v == datapath.Forward {
		h.left(p.Data)
	}
}

func (h *byHand) take() {
	for _, f := range h.o.Out() {
		h.left(f.Data)
	}
	h.o.Flushed()
}

func (h *byHand) left(f []byte) {
	p := datapath.Packet{Data: f}
	require.Equal(h.t, datapath.Continue, h.parse.Process(0, &p), "%v", p.Reason)
	if p.PHV.Has(datapath.HdrTCP) {
		h.out = append(h.out, sent{p.PHV, wire.Ethernet(f).Dst(), string(f[p.PHV.PayloadOff:][:p.PHV.PayloadLen])})
	}
}

// pass lets d of time pass. What leaves meanwhile is in out.
func (h *byHand) pass(d sim.Cycle) {
	h.out = nil
	for end := h.now + d; ; h.turns++ {
		at, ok := h.o.Next()
		if !ok || at > end {
			h.now = end
			return
		}
		h.now = max(h.now, at)
		h.o.Advance(h.now)
		h.take()
	}
}

// say has f send a segment, and returns what it gets at once, in one piece.
func (f *far) say(flags, payload string) string {
	f.h.process(f.eth.TCP(f.port, f.its, flags, dt.Seq(f.seq), dt.Ack(f.got), dt.Win(60000)).Payload(payload))
	f.seq += uint32(len(payload))
	return f.takes()
}

// takes takes what left to f, and returns it.
func (f *far) takes() (b string) {
	for _, s := range f.h.out {
		if s.DstPort == f.port && s.SrcPort == f.its {
			b += s.payload
			f.got = uint32(s.TCPSeq) + s.PayloadLen
		}
	}
	return b
}

// client opens a connection to the listener.
func (h *byHand) client(port uint16) *far {
	f := &far{h: h, eth: dt.Eth("02:6e:69:63:00:01", "02:00:00:00:00:01").IPv4("10.0.0.1", "10.0.0.200"), port: port, its: 80}
	h.process(f.eth.TCP(port, 80, "S", dt.Seq(0), dt.Win(60000)))
	require.Len(h.t, h.out, 1)
	f.got, f.seq = uint32(h.out[0].TCPSeq)+1, 1
	f.say("A", "")
	return f
}

// server accepts the connection whose SYN has just left, and returns what comes with it.
func (h *byHand) server() (*far, string) {
	require.Len(h.t, h.out, 1)
	s := h.out[0]
	require.True(h.t, s.TCPFlags.Has(wire.SYN))
	f := &far{h: h, eth: dt.Eth("02:6e:69:63:00:01", "02:00:00:00:00:03").IPv4("10.0.0.3", "10.0.0.200"), port: s.DstPort, its: s.SrcPort, got: uint32(s.TCPSeq) + 1}
	f.h.process(f.eth.TCP(f.port, f.its, "SA", dt.Seq(0), dt.Ack(f.got), dt.Win(60000)))
	f.seq = 1
	return f, f.takes()
}

// asked is a client whose request has come to a server to which a connection was opened for it.
func (h *byHand) asked(port uint16) (client, server *far) {
	client = h.client(port)
	client.say("PA", "GET / HTTP/1.1\r\nhost: a\r\n\r\n")
	server, head := h.server()
	require.Contains(h.t, head, "GET / HTTP/1.1")
	return client, server
}

// conns is how many connections there are.
func (h *byHand) conns() uint64 { return h.o.Counters()["splice.conns"] }

// A client that has fallen back and vanished is given up when its sidecar has closed and
// forgotten the connection.
func TestClientVanishesBeforeItsSidecar(t *testing.T) {
	h := newByHand(t, Config{
		Fallback: Fallback{Addr: netip.MustParseAddr("10.0.0.3")},
		Mesh: mesh.Config{
			Listeners: []mesh.Listener{{Name: "a", Address: "10.0.0.200:80", StatPrefix: "a", TCP: &mesh.TCPProxy{Cluster: "up"}}},
			Clusters:  []mesh.Cluster{{Name: "up", Endpoints: []mesh.Endpoint{{Address: "10.0.0.3:80"}}}},
		}})
	c := h.client(4000)
	h.pass(second)
	s, _ := h.server()
	c.say("PA", "hello")
	require.Equal(t, "hello", s.takes())
	s.say("A", "")
	h.pass(3 * 3600 * second)
	require.EqualValues(t, 2, h.conns(), "nobody is owed anything")
	s.say("FA", "")
	h.pass(3 * 3600 * second)
	require.Zero(t, h.conns())
}

// Where a host has another MAC address than it had, as one that has been started anew, it is
// sent nothing at the old one: what is under way goes to the new one when it is sent again, and
// the connections that wait for requests are closed.
func TestHostMoves(t *testing.T) {
	h := newByHand(t, Config{})
	c, s := h.asked(4000)
	s.say("PA", "HTTP/1.1 204 No Content\r\n\r\n")
	require.Contains(t, c.takes(), "204")
	c.say("A", "")
	h.at("10.0.0.3", "02:00:00:00:00:04")
	require.Len(t, h.out, 1)
	require.True(t, h.out[0].TCPFlags.Has(wire.FIN))
	require.Equal(t, wire.MAC{2, 5: 4}, h.out[0].to)
	s.say("R", "")
	c.say("PA", "GET / HTTP/1.1\r\nhost: a\r\n\r\n")
	require.Equal(t, wire.MAC{2, 5: 4}, h.out[0].to)
	_, head := h.server()
	require.NotEmpty(t, head)
	h.at("10.0.0.3", "02:00:00:00:00:05")
	h.pass(second / 2)
	require.Len(t, h.out, 1)
	require.Equal(t, head, h.out[0].payload)
	require.Equal(t, wire.MAC{2, 5: 5}, h.out[0].to)
}

// A client that is gone before it has acknowledged all of its response, while its server may
// well have closed and forgotten it, is not waited for for ever.
func TestClientVanishesWithItsResponse(t *testing.T) {
	h := newByHand(t, Config{})
	c, s := h.asked(4000)
	s.say("A", "HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n")
	require.Contains(t, c.takes(), "200 OK")
	c.say("A", "")
	s.say("PA", string(make([]byte, 1000)))
	s.say("PA", string(make([]byte, 1000)))
	h.turns = 0
	h.pass(20 * 60 * second)
	require.Zero(t, h.conns())
	require.Less(t, h.turns, 1000, "nothing is due all the time")
	require.EqualValues(t, 0, h.o.Counters()["http.a.downstream_rq_active"])
}

// The answer to a request that was waited for in vain is there to be taken.
func TestAnswerAfterLongSilence(t *testing.T) {
	h := newByHand(t, Config{})
	c, s := h.asked(4000)
	s.say("A", "")
	h.pass(5*60*second + second/1000)
	require.Contains(t, c.takes(), " 504 ")
	h.pass(second / 10)
	for _, s := range h.out {
		require.False(t, s.TCPFlags.Has(wire.RST))
	}
	c.say("A", "")
	require.EqualValues(t, 1, h.conns(), "the client's, kept alive")
}

// A host that lets the proxy's questions go unanswered, but acknowledges, is there.
func TestHostThatAcknowledgesIsThere(t *testing.T) {
	h := newByHand(t, Config{})
	_, s := h.asked(4000)
	h.pass(second / 2)
	require.Contains(t, s.takes(), "GET / HTTP/1.1", "again: it is in doubt, and asked for")
	s.say("A", "")
	h.pass(4 * second)
	require.Zero(t, h.o.Counters()["neighbours.gone"])
	h.asked(4001)
}
