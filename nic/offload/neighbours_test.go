package offload

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	dt "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/proxy/mesh"
)

const second = sim.Cycle(250_000_000)

// quiet is an Offload that nobody sends anything: time moves by Next alone.
type quiet struct {
	t     *testing.T
	o     *Offload
	parse *parser.Parser
	now   sim.Cycle
	asked []string          // when who was asked for, in seconds
	said  map[uint16]string // statuses that clients were told, by their port
	other []datapath.PHV
}

// newSmall is an Offload of one port, with a clock of its own.
func newSmall(t *testing.T, cfg Config) *Offload {
	cfg.Conns, cfg.Ports, cfg.Clock, cfg.Epoch = 64, 1, sim.Clock{Hz: uint64(second)}, time.Unix(1_700_000_000, 0)
	o, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(o.Close)
	return o
}

// oneRoute is a listener before one endpoint.
func oneRoute(listener, endpoint string, outlier *mesh.OutlierDetection) mesh.Config {
	return mesh.Config{
		Listeners: []mesh.Listener{{Name: "a", Address: listener, StatPrefix: "a",
			VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "up"}}}}}},
		Clusters: []mesh.Cluster{{Name: "up", Endpoints: []mesh.Endpoint{{Address: endpoint}}, Outliers: outlier}},
	}
}

func newQuiet(t *testing.T, listener, endpoint string, outlier *mesh.OutlierDetection) *quiet {
	o := newSmall(t, Config{Mesh: oneRoute(listener, endpoint, outlier)})
	return &quiet{t: t, o: o, said: map[uint16]string{}, parse: parser.New(parser.Config{VerifyChecksums: true})}
}

// until moves time on, as far as there is something to do.
func (q *quiet) until(end sim.Cycle) {
	for {
		at, ok := q.o.Next()
		if !ok || at > end {
			q.now = end
			return
		}
		q.now = max(q.now, at)
		q.o.Advance(q.now)
		q.take()
		next, ok := q.o.Next()
		require.True(q.t, !ok || next > q.now, "what is due is done")
	}
}

func (q *quiet) take() {
	for _, f := range q.o.Out() {
		p := datapath.Packet{Data: f.Data}
		require.Equal(q.t, datapath.Continue, q.parse.Process(0, &p), "%v", p.Reason)
		switch h := &p.PHV; {
		case h.Has(datapath.HdrARP):
			require.Equal(q.t, wire.ARPRequest, wire.ARP(f.Data[wire.EthernetLen:]).Op())
			q.asked = append(q.asked, fmt.Sprintf("%.0f %s", float64(q.now)/float64(second), wire.FormatIP(wire.MapIPv4(wire.ARP(f.Data[wire.EthernetLen:]).TargetIP()))))
		case h.Has(datapath.HdrICMP) && f.Data[h.L4Off] == wire.NeighbourSolicitation:
			n := wire.NDP(f.Data[h.L4Off:])
			require.True(q.t, n.Valid())
			group, mac := wire.SolicitedNode(n.Target())
			require.Equal(q.t, group, h.IPDst)
			require.Equal(q.t, mac, wire.Ethernet(f.Data).Dst())
			require.EqualValues(q.t, wire.NDPHopLimit, h.TTL)
			q.asked = append(q.asked, fmt.Sprintf("%.0f %s", float64(q.now)/float64(second), wire.FormatIP(n.Target())))
		case h.Has(datapath.HdrTCP) && h.PayloadLen > 0:
			q.said[h.DstPort] = string(f.Data[h.PayloadOff:][len("HTTP/1.1 "):][:3])
		default:
			q.other = append(q.other, *h)
		}
	}
	q.o.Flushed()
}

func (q *quiet) process(f []byte) datapath.Verdict {
	p := datapath.Packet{Data: append([]byte(nil), f...)}
	require.Equal(q.t, datapath.Continue, q.parse.Process(0, &p), "%v", p.Reason)
	v := q.o.Process(q.now, &p)
	q.take()
	return v
}

// client opens a connection and asks for something.
func (q *quiet) client(ip, listener string, port uint16) {
	segment := func(flags string, ack uint32, payload string, fields ...dt.TCPField) {
		f := dt.Eth("02:6e:69:63:00:01", "02:00:00:00:00:01")
		if ip[0] == 'f' {
			f = f.IPv6(ip, listener)
		} else {
			f = f.IPv4(ip, listener)
		}
		require.Equal(q.t, datapath.Consume, q.process(f.TCP(port, 80, flags, append(fields, dt.Ack(ack), dt.Win(60000))...).Payload(payload)))
	}
	q.other = nil
	segment("S", 0, "", dt.Seq(0))
	require.Len(q.t, q.other, 1)
	ack := uint32(q.other[0].TCPSeq) + 1
	segment("A", ack, "", dt.Seq(1))
	q.other = nil
	segment("PA", ack, "GET / HTTP/1.1\r\nhost: a\r\n\r\n", dt.Seq(1))
}

// Without any traffic, hosts are asked for when it is time: once a second three times, and then twice
// as late each time, anew if somebody waits for them, and no more when they have answered. Nobody
// waits for longer than a second for who has not answered three times.
func TestNeighboursAreAskedForInTime(t *testing.T) {
	for _, tt := range []struct{ listener, client, endpoint string }{{"10.0.0.200", "10.0.0.1", "10.0.0.3"}, {"fd00::200", "fd00::1", "fd00::3"}} {
		t.Run(tt.endpoint, func(t *testing.T) {
			q := newQuiet(t, join(tt.listener), join(tt.endpoint), nil)
			want := func(seconds ...int) {
				t.Helper()
				var list []string
				for _, s := range seconds {
					list = append(list, fmt.Sprintf("%d %s", s, tt.endpoint))
				}
				require.Equal(t, list, q.asked)
				q.asked = nil
			}
			q.until(200 * second)
			want(0, 1, 2, 3, 5, 9, 17, 33, 65, 129, 193)
			q.client(tt.client, tt.listener, 4000)
			want(200)
			q.client(tt.client, tt.listener, 4001)
			want()
			require.Empty(t, q.said, "they wait for a second")
			q.until(204 * second)
			want(201, 202, 203, 204)
			require.Equal(t, map[uint16]string{4000: "503", 4001: "503"}, q.said)
			q.client(tt.client, tt.listener, 4002)
			require.Equal(t, "503", q.said[4002], "it was asked for just now, and before")
			q.until(213*second + second/2)
			want(205, 206, 207, 208, 210)
			q.client(tt.client, tt.listener, 4003)
			q.client(tt.client, tt.listener, 4004)
			want(214)
			answer := dt.Eth("02:6e:69:63:00:01", "02:00:00:00:00:03").ARP(wire.ARPReply, "02:00:00:00:00:03", "10.0.0.3", "02:6e:69:63:00:01", "10.0.0.200")
			if tt.endpoint[0] == 'f' {
				answer = advertisement(wire.NeighbourAdvertisement, dt.IP(tt.endpoint), dt.IP(tt.endpoint), dt.IP(tt.listener), wire.NDPTargetLink)
			}
			q.other = nil
			require.Equal(t, datapath.Consume, q.process(answer))
			require.Len(t, q.other, 2, "SYNs leave")
			require.Len(t, q.said, 3)
			for _, h := range q.other {
				require.True(t, h.TCPFlags.Has(wire.SYN))
				require.Equal(t, dt.IP(tt.endpoint), h.IPDst)
				require.Equal(t, dt.IP(tt.listener), h.IPSrc)
			}
			q.until(214 * second)
			want()
			q.until(400 * second) // no SYN is answered: it is asked for again, as one that may have gone
			want(215, 216, 217, 218, 220, 224, 232, 248, 280, 344)
		})
	}
}

func join(ip string) string {
	if ip[0] == 'f' {
		return "[" + ip + "]:80"
	}
	return ip + ":80"
}

// advertisement is a message of neighbour discovery of the host at 02:00:00:00:00:03.
func advertisement(typ uint8, target, from, to [16]byte, kind wire.NDPOption) []byte {
	f := ndpFrame(typ, 0, target, kind, from, MAC, to)
	wire.Ethernet(f).SetSrc(wire.MAC{2, 5: 3})
	copy(f[len(f)-6:], []byte{2, 0, 0, 0, 0, 3})
	wire.FillL4Checksum(f)
	return f
}

// Who has a listener's IPv6 address is answered, to who wants it for itself, too; what is for
// others, or comes from beyond the link, passes.
func TestNeighbourDiscovery(t *testing.T) {
	own, host := dt.IP("fd00::200"), dt.IP("fd00::3")
	group, _ := wire.SolicitedNode(own)
	q := newQuiet(t, "[fd00::200]:80", "[fd00::9]:80", nil)
	q.until(0)
	q.other = nil
	require.Equal(t, datapath.Consume, q.process(advertisement(wire.NeighbourSolicitation, own, host, group, wire.NDPSourceLink)))
	require.Len(t, q.other, 1)
	require.Equal(t, host, q.other[0].IPDst)
	require.Equal(t, own, q.other[0].IPSrc)
	require.Equal(t, datapath.Consume, q.process(advertisement(wire.NeighbourSolicitation, own, [16]byte{}, group, wire.NDPSourceLink)))
	require.Len(t, q.other, 2)
	require.Equal(t, dt.IP("ff02::1"), q.other[1].IPDst)
	for _, f := range [][]byte{
		advertisement(wire.NeighbourSolicitation, dt.IP("fd00::7"), host, group, wire.NDPSourceLink),
		advertisement(wire.NeighbourAdvertisement, host, host, dt.IP("ff02::1"), wire.NDPTargetLink),
		dt.Eth("02:6e:69:63:00:01", "02:00:00:00:00:03").IPv6("fd00::3", "fd00::200").ICMP(128, 0, 8),
		hops(advertisement(wire.NeighbourSolicitation, own, host, group, wire.NDPSourceLink), 64),
	} {
		require.Equal(t, datapath.Continue, q.process(f))
	}
	require.Len(t, q.other, 2)
}

func hops(f []byte, n byte) []byte {
	f[wire.EthernetLen+7] = n
	return f
}

// Without any traffic, an endpoint that was ejected comes back when its time is over.
func TestSweepsComeInTime(t *testing.T) {
	q := newQuiet(t, "10.0.0.200:80", "10.0.0.3:80", &mesh.OutlierDetection{Consecutive5xx: 1, Interval: 10 * time.Second, BaseEjection: 25 * time.Second,
		MaxEjection: 5 * time.Minute, MaxPercent: 100, AlwaysEjectOne: true, Enforce5xx: 100})
	cl := q.o.clusters[0]
	q.until(15 * second)
	q.o.changed(cl, cl.health.Answered(cl.health.Hosts()[0], 500, q.o.elapsed(q.now), q.o.draw))
	healthy := func() uint64 { return q.o.Counters()["cluster.up.membership_healthy"] }
	require.EqualValues(t, 0, healthy())
	q.until(39 * second)
	require.EqualValues(t, 0, healthy())
	q.until(40*second + 1000)
	require.EqualValues(t, 1, healthy(), "25 s are over at the interval that ends after 40 s")
}
