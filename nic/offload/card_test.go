package offload_test

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"runtime/debug"
	"slices"
	"time"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/segment"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/nictest"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

const (
	front = "10.0.0.200" // the listener's address, over IPv6 fd00::200
	hz    = 250_000_000
)

// card is a NIC's program with an Offload. It holds what leaves to what any
// frame must be.
type card struct {
	parse  *parser.Parser
	o      *offload.Offload
	logic  *nic.Logic
	mtu    []int // by port
	buf    []byte
	broken error // the first frame that must not leave
}

func cycle(now time.Duration) sim.Cycle { return sim.Cycle(now / 4) }

func newCard(cfg mesh.Config, seed uint64, mtu []int) (*card, error) {
	o, err := offload.New(offload.Config{
		Mesh: cfg, Conns: 1024, Ports: len(mtu), Clock: sim.Clock{Hz: hz}, Seed: seed, Epoch: time.Unix(1_700_000_000, 0),
	})
	if err != nil {
		return nil, err
	}
	c := &card{parse: parser.New(parser.Config{VerifyChecksums: true}), o: o, mtu: mtu, buf: make([]byte, 66<<10)}
	var names []string
	for i := range mtu {
		names = append(names, fmt.Sprint(i))
	}
	c.logic, err = nic.NewLogic(nic.Config{Program: nic.Offload, Flows: 1024, MACs: 64, Proxy: o}, names, slices.Max(mtu)+wire.EthernetLen)
	return c, err
}

// Frame takes a frame through the program. One that is longer than the MTU of its port is a
// superframe, whose sums and segments the host has left to its card.
func (c *card) Frame(now time.Duration, port int, frame []byte, out func(int, []byte)) {
	p := datapath.Packet{Data: c.buf[:copy(c.buf, frame)], In: datapath.Port(port)}
	if c.parse.Process(cycle(now), &p) != datapath.Continue {
		return
	}
	var left hostif.Offload
	if longest := c.mtu[port] + wire.EthernetLen; len(frame) > longest {
		left = hostif.Offload{CsumPartial: true, CsumStart: p.PHV.L4Off, GSO: hostif.GSOTCPv4, GSOSize: uint16(longest) - p.PHV.PayloadOff, HdrLen: p.PHV.PayloadOff}
		l4, _ := wire.FindL4(p.Data)
		left.CsumOffset = uint16(l4.SumOff)
		wire.TCP(p.Data[l4.Off:]).SetChecksum(l4.Pseudo)
	}
	o := c.logic.Process(cycle(now), datapath.Port(port), p.Data, left)
	for _, f := range o.Own {
		c.leave(int(f.Port), f.Data, out)
	}
	c.logic.Flushed()
	if o.Stage != c.o.Name() {
		return // between hosts
	}
	for q := range c.mtu {
		if o.To.Has(datapath.Port(q)) {
			f := &hostif.Frame{Data: o.Data, Offload: o.Offload}
			if err := segment.Finish(f, c.mtu[q], func(f *hostif.Frame) { c.leave(q, f.Data, out) }); err != nil && c.broken == nil {
				c.broken = err
			}
		}
	}
}

// Due has the timers run.
func (c *card) Due(now time.Duration, out func(int, []byte)) (time.Duration, bool) {
	for _, f := range c.logic.Advance(cycle(now)) {
		c.leave(int(f.Port), f.Data, out)
	}
	c.logic.Flushed()
	at, ok := c.o.Next()
	return time.Duration(at+1) * 4, ok
}

// leave sends a frame, and notes one that no card may send.
func (c *card) leave(port int, frame []byte, out func(int, []byte)) {
	p := datapath.Packet{Data: append([]byte(nil), frame...)}
	switch v := c.parse.Process(0, &p); {
	case c.broken != nil:
	case v != datapath.Continue:
		c.broken = fmt.Errorf("port %d: a frame that leaves is bad, %v: %s", port, p.Reason, nictest.Describe(frame, nil))
	case len(frame) > c.mtu[port]+wire.EthernetLen:
		c.broken = fmt.Errorf("port %d: a frame of %d bytes leaves where the MTU is %d", port, len(frame), c.mtu[port])
	}
	out(port, frame)
}

func frontOf(c *nictest.Conversation) netip.Addr {
	if c.Servers[0].IP.IsValid() {
		return netip.MustParseAddr("fd00::200")
	}
	return netip.MustParseAddr(front)
}

// balanced is a listener in front of one cluster of all servers.
func balanced(c *nictest.Conversation) mesh.Config {
	cl := mesh.Cluster{Name: "all"}
	for i := range c.Servers {
		at := netip.AddrFrom4([4]byte{10, 0, 0, byte(len(c.Clients) + i + 1)})
		if ip := c.Servers[i].IP; ip.IsValid() {
			at = ip.Addr()
		}
		cl.Endpoints = append(cl.Endpoints, mesh.Endpoint{Address: netip.AddrPortFrom(at, 80).String()})
	}
	return mesh.Config{
		Node: "test",
		Listeners: []mesh.Listener{{
			Name: "front", Address: netip.AddrPortFrom(frontOf(c), 80).String(), StatPrefix: "front",
			VirtualHosts: []mesh.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "all"}}}},
		}},
		Clusters: []mesh.Cluster{cl},
	}
}

// chained is balanced behind one more listener, which is a proxy that answers two of five
// requests itself, and has the one before it try again.
func chained(c *nictest.Conversation) mesh.Config {
	cfg := balanced(c)
	at := netip.AddrPortFrom(frontOf(c), 81).String()
	in := cfg.Listeners[0]
	in.Name, in.StatPrefix, in.Address = "in", "in", at
	in.Filters = []mesh.Filter{{Fault: &mesh.Fault{Abort: &mesh.FaultAbort{Status: 599, Percentage: mesh.Fraction{Numerator: 40}}}}}
	to := &cfg.Listeners[0].VirtualHosts
	*to = []mesh.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "in",
		Retry: &mesh.RetryPolicy{On: []string{"retriable-status-codes"}, Statuses: []uint32{599}, Retries: 1000, Base: time.Millisecond}}}}}
	cfg.Listeners = append(cfg.Listeners, in)
	cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: "in", Endpoints: []mesh.Endpoint{{Address: at}}})
	return cfg
}

// heads is what package mesh makes of heads, by each of the routes that they take.
type heads struct {
	routes []*mesh.RouteEntry
	ids    *mesh.RequestIDs
}

var (
	drawn = regexp.MustCompile(`\r\n(x-request-id|date): [^\r]*`)
	timed = regexp.MustCompile(`\r\nx-envoy-upstream-service-time: [^\r]*`)
)

// plain blanks what is drawn, and takes the service time out, which is not there if the
// response came before the request was complete.
func plain(head []byte) []byte {
	return timed.ReplaceAll(drawn.ReplaceAll(head, []byte("\r\n$1: ")), nil)
}

func parsed(said []byte, response bool) *http1.Head {
	h := &http1.Head{}
	h.Reset(response)
	if n, err := h.Parse(said); err != nil || n != len(said) {
		panic(fmt.Sprintf("%q: %d, %v", said, n, err))
	}
	return h
}

func (x heads) request(said []byte) []byte {
	for _, r := range x.routes {
		said = mesh.AppendRequest(nil, parsed(said, false), r, x.ids, nil)
	}
	return plain(said)
}

func (x heads) response(said []byte, method string) []byte {
	h := parsed(said, true)
	body := h.Body(method == "HEAD")
	for i := len(x.routes) - 1; i >= 0; i-- {
		h = parsed(said, true)
		said = mesh.AppendResponse(nil, h, &mesh.ResponseInfo{
			Route: x.routes[i], Date: []byte("-"), ServiceTime: -1, Close: i == 0 && body.EndsWithStream(),
			Chunked: body.Chunked() || method == "HEAD" && h.ContentLength < 0 && h.Status != 204 && h.Status != 304,
		})
	}
	return plain(said)
}

// proxied makes a conversation one through a proxy: with n servers at least, each of which
// answers any request, and clients that end what they began, for the proxy does not.
func proxied(c *nictest.Conversation, n int) *nictest.Conversation {
	for len(c.Servers) < n {
		c.Servers = append(c.Servers, c.Servers[0])
	}
	narrow := false
	for i := range c.Connections {
		k := &c.Connections[i]
		if k.End == nictest.EndServer {
			k.End = nictest.EndAnswered
		}
		narrow = narrow || k.Reading.Buffer > 0 || k.Serving.Buffer > 0
	}
	// Where segments to the server and to the client are of different lengths, a window
	// that is worth telling for one gVisor may be too small for the other, for ever:
	// neither has the timer of RFC 9293 §3.8.6.2.1.
	for _, hosts := range [][]nictest.HostConfig{c.Clients, c.Servers} {
		for i := range hosts {
			narrow = narrow || hosts[i].ReceiveBuffer > 0
		}
	}
	for _, hosts := range [][]nictest.HostConfig{c.Clients, c.Servers} {
		for i := range hosts {
			if narrow {
				hosts[i].MTU = 1500
			}
		}
	}
	return c
}

// errSilent is the failure of a conversation in which a host's own TCP fell silent, which is
// nobody's fault but its. gVisor's does so where an acknowledgement lies within a segment
// of its, as it does wherever a head is of another length than what was put in its place: its
// count of segments under way then comes to 0, and with it the retransmission timer to rest.
var errSilent = errors.New("a host does not send again what is not acknowledged")

// through holds a conversation through an Offload and returns what is wrong.
func through(c *nictest.Conversation) (err error) { return throughBy(c, balanced(c)) }

// throughBy is through an Offload of a configuration.
func throughBy(c *nictest.Conversation, cfg mesh.Config) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	_, err = runThroughBy(c, cfg, nil)
	return err
}

func runThrough(c *nictest.Conversation, trace func(time.Duration, string, []byte, string)) (*nictest.Record, error) {
	return runThroughBy(c, balanced(c), trace)
}

func runThroughBy(c *nictest.Conversation, cfg mesh.Config, trace func(time.Duration, string, []byte, string)) (*nictest.Record, error) {
	table, err := mesh.Compile(cfg)
	if err != nil {
		return nil, err
	}
	x := heads{ids: mesh.NewRequestIDs([32]byte{})}
	for i := range table.Listeners {
		x.routes = append(x.routes, table.Listeners[i].Route(parsed([]byte("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), false)))
	}
	p := &nictest.Proxy{Request: x.request, Response: x.response, Plain: plain}
	for i := range c.Connections {
		k := &c.Connections[i]
		p.Loose = p.Loose || k.Idle > 0
		for n := range k.Exchanges { // which are over without their end, that comes as a surprise
			e := &k.Exchanges[n]
			p.Loose = p.Loose || e.Answer.Reset > 0 || e.Answer.Framing == nictest.UntilClose && (e.Method == "HEAD" || e.Answer.Status == 204 || e.Answer.Status == 304)
		}
	}
	var k *card
	addr := frontOf(c)
	r, err := nictest.Run(c, nictest.Setup{
		Card: func(ports int) (nictest.Card, error) {
			var mtu []int
			for _, h := range append(append([]nictest.HostConfig(nil), c.Clients...), c.Servers...) {
				if h.MTU == 0 {
					h.MTU = 1500
				}
				mtu = append(mtu, h.MTU)
			}
			k, err = newCard(cfg, c.Seed, mtu)
			return k, err
		},
		To:         func(int) netip.AddrPort { return netip.AddrPortFrom(addr, 80) },
		Neighbours: map[netip.Addr]wire.MAC{addr: offload.MAC},
		After:      mesh.ConnectionIdleTimeout + 5*time.Minute,
		Trace:      trace,
	})
	if err != nil {
		return r, err
	}
	// With enough bad luck a server's handshake is over in no time, or it is silent for so long that it is not there.
	n := k.o.Counters()
	p.Absent = n["neighbours.gone"] > 0
	p.Loose = p.Loose || n["cluster.all.upstream_cx_connect_timeout"] > 0 || p.Absent
	if err := r.Check(nictest.View{Proxy: p}); err != nil {
		if len(r.Stalls) > 0 && k.broken == nil {
			return r, errSilent
		}
		return r, err
	}
	if k.broken != nil {
		return r, k.broken
	}
	for _, gauge := range []string{"splice.conns", "splice.held", "http.front.downstream_cx_active", "http.front.downstream_rq_active",
		"cluster.all.upstream_cx_active", "cluster.all.upstream_rq_active"} {
		if v, ok := n[gauge]; !ok || v != 0 {
			return r, fmt.Errorf("%s is %d (%v) after all", gauge, v, ok)
		}
	}
	return r, nil
}
