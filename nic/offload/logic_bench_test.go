package offload_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// talk is one direction of a connection of a host's: a frame to send again and again, with
// other numbers.
type talk struct {
	port     datapath.Port
	frame    []byte
	seq, ack wire.Seq
}

const tcpOff = wire.EthernetLen + wire.IPv4MinLen

func newTalk(port datapath.Port, src, dst string, sport, dport uint16, payload string) *talk {
	f := datapathtest.Eth(offload.MAC.String(), "02:00:00:00:00:01").IPv4(src, dst).TCP(sport, dport, "PA", datapathtest.Win(60000)).Payload(payload)
	return &talk{port: port, frame: f}
}

// whole is a card's program with hosts that send what they have to in whole frames.
type whole struct {
	l   *nic.Logic
	buf [2048]byte
	now sim.Cycle
}

// say sends a segment of t's, with its payload or without, and returns the frames that leave.
func (w *whole) say(t *talk, flags wire.TCPFlags, payload bool) nic.Outcome {
	b := w.buf[64 : 64+copy(w.buf[64:], t.frame)]
	tcp := wire.TCP(b[tcpOff:])
	n := len(tcp) - tcp.HeaderLen()
	if !payload {
		b = b[:len(b)-n]
		wire.IPv4(b[wire.EthernetLen:]).SetTotalLen(len(b) - wire.EthernetLen)
		wire.IPv4(b[wire.EthernetLen:]).FillChecksum()
		tcp, n = wire.TCP(b[tcpOff:]), 0
	}
	tcp.SetSeq(t.seq)
	tcp.SetAck(t.ack)
	tcp.SetFlags(flags)
	wire.FillL4Checksum(b)
	t.seq = t.seq.Add(uint32(n))
	if flags.Has(wire.SYN) {
		t.seq++
	}
	w.now += 10
	return w.l.Process(w.now, t.port, b, hostif.Offload{})
}

// BenchmarkLogic carries requests of 64 clients with their responses through all stages of the
// card's program: frames are checked, parsed, decided about, rewritten and summed. What the
// hosts do for their two frames is part of it.
func BenchmarkLogic(b *testing.B) {
	const request = "GET /reviews/1 HTTP/1.1\r\nHost: reviews\r\nUser-Agent: curl/8\r\nAccept: */*\r\nX-Request-Id: 1\r\n\r\n"
	const response = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nServer: app\r\n\r\n{}"
	cfg := mesh.Config{
		Listeners: []mesh.Listener{{Name: "in", Address: front + ":80", StatPrefix: "in",
			VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "up", Timeout: 15 * time.Second}}}}}},
		Clusters: []mesh.Cluster{{Name: "up", Endpoints: []mesh.Endpoint{{Address: "10.0.0.3:80"}}}},
	}
	o, err := offload.New(offload.Config{Mesh: cfg, Conns: 1024, Ports: 2, Clock: sim.Clock{Hz: hz}, Epoch: time.Unix(1_700_000_000, 0)})
	require.NoError(b, err)
	w := &whole{}
	w.l, err = nic.NewLogic(nic.Config{Program: nic.Offload, Flows: 1024, MACs: 64, Proxy: o}, []string{"a", "b"}, 1514)
	require.NoError(b, err)

	arp := make([]byte, wire.EthernetLen+wire.ARPLen) // where the server is
	eth, a := wire.Ethernet(arp), wire.ARP(arp[wire.EthernetLen:])
	eth.SetDst(offload.MAC)
	eth.SetSrc(wire.MAC{2, 5: 3})
	eth.SetType(wire.TypeARP)
	a.Init(wire.ARPReply)
	a.SetSender(wire.MAC{2, 5: 3}, [4]byte{10, 0, 0, 3})
	a.SetTarget(offload.MAC, [4]byte{10, 0, 0, 200})
	w.l.Process(1, 1, arp, hostif.Offload{})

	const clients = 64
	const headers = tcpOff + wire.TCPMinLen
	var client, server [clients]*talk
	last := func() []byte { out := o.Out(); return out[len(out)-1].Data }
	exchange := func(i int) {
		c, s := client[i], server[i]
		out := w.say(c, wire.ACK|wire.PSH, true)
		if s == nil { // there is no connection yet
			syn := wire.TCP(last()[tcpOff:])
			s = newTalk(1, "10.0.0.3", front, 80, syn.SrcPort(), response)
			s.ack = syn.Seq() + 1
			server[i] = s
			w.say(s, wire.SYN|wire.ACK, false)
			s.ack = s.ack.Add(uint32(len(last()) - headers))
		} else if out.Verdict == datapath.Forward {
			s.ack = s.ack.Add(uint32(len(out.Data) - headers))
		} else {
			b.Fatal("a request does not go on")
		}
		w.l.Flushed()
		if out = w.say(s, wire.ACK|wire.PSH, true); out.Verdict != datapath.Forward {
			b.Fatal("a response does not go on")
		}
		c.ack = c.ack.Add(uint32(len(out.Data) - headers))
		w.l.Flushed()
	}
	for i := range clients {
		c := newTalk(0, "10.0.0.2", front, uint16(4000+i), 80, request)
		client[i] = c
		w.say(c, wire.SYN, false)
		c.ack = wire.TCP(last()[tcpOff:]).Seq() + 1
		w.l.Flushed()
		w.say(c, wire.ACK, false)
		exchange(i)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		exchange(n % clients)
		n++
	}
}
