package splice_test

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
)

const (
	hz         = 1000 // a cycle is a millisecond in conversations
	listenPort = 80
	maxHead    = 8 << 10
	nicIP      = "10.0.0.100"
)

// host is one end of one connection, as a conversation plays it.
type host struct {
	name      string
	ip        string
	port      uint16
	local     uint16 // the engine's port
	isn, next uint32 // absolute: first, and behind all that it has sent
	peer      uint32 // the engine's ISN
	got       uint32 // behind the last byte of the engine's
	heard     bool   // the engine's ISN is known
	mss       uint16
	sack, ts  bool
	scale     int
	tsVal     uint32
	tsRecent  uint32
	tsOn      bool // timestamps were agreed on

}

// play is a conversation that is being played.
type play struct {
	t      testing.TB
	e      *splice.Engine
	app    *script
	parse  *parser.Parser
	now    sim.Cycle
	hosts  map[string]*host
	dialed map[string]int // connections to an endpoint so far
	named  map[string]*host
	isns   map[string]uint32
	opts   map[string]string
	ts     bool
	out    strings.Builder
	cfg    splice.Config
	v6     bool
	idle   *sim.Cycle // for SetIdleTimeout, if it is called
}

// addr is host n of the network.
func (p *play) addr(n int) string {
	if p.v6 {
		return fmt.Sprintf("fd00::%d", n)
	}
	return fmt.Sprintf("10.0.0.%d", n)
}

func converse(t testing.TB, text string, v6 bool) string {
	p := &play{
		t: t, v6: v6, hosts: map[string]*host{}, named: map[string]*host{}, dialed: map[string]int{}, isns: map[string]uint32{}, opts: map[string]string{},
		parse: parser.New(parser.Config{VerifyChecksums: true}),
		cfg:   splice.Config{Conns: 4096, Clock: sim.Clock{Hz: hz}, Seed: 1},
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case line == "", line[0] == '#':
			fmt.Fprintln(&p.out, line)
		case line[0] == '.' || line[0] == '=' || words[1] == ">" || strings.HasPrefix(words[0], "@"):
			// was written by the test
		default:
			fmt.Fprintln(&p.out, line)
			p.do(words, line)
		}
	}
	if p.e != nil {
		fmt.Fprintf(&p.out, "= %d connections, %d buffers held%s\n", p.e.Conns(), p.e.Held(), p.counted())
	}
	return p.out.String()
}

func (p *play) counted() (s string) {
	c := p.e.Counters()
	c.Each(func(name string, v uint64) {
		if v > 0 {
			s += fmt.Sprintf(", %d %s", v, name)
		}
	})
	return s
}

// start builds the engine, when the first segment comes.
func (p *play) start() {
	if p.e != nil {
		return
	}
	p.app = newScript()
	if p.v6 {
		p.cfg.MTU = cmp.Or(p.cfg.MTU, 1500) + wire.IPv6Len - wire.IPv4MinLen
	}
	e, err := splice.New(p.cfg, p.app)
	require.NoError(p.t, err)
	p.e, p.app.e = e, e
	p.app.tell = func(format string, args ...any) { fmt.Fprintf(&p.out, ". "+format+"\n", args...) }
	for i := range 2 {
		e.SetEndpoint(splice.Endpoint(i), splice.Addr{IP: IP(p.addr(i + 2)), Port: 8080}, IP(p.addr(100)))
		e.SetNeighbour(0, splice.Endpoint(i), splice.Neighbour{MAC: wire.MAC{2, 5: byte(i + 2)}, Own: wire.MAC{2, 5: 100}, Port: 1})
		if p.idle != nil {
			e.SetIdleTimeout(splice.Endpoint(i), *p.idle)
		}
	}
}

func (p *play) do(words []string, line string) {
	switch words[0] {
	case "config":
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			n, _ := strconv.Atoi(v)
			switch k {
			case "conns":
				p.cfg.Conns = n
			case "halfopen":
				p.cfg.HalfOpen = n
			case "mtu":
				p.cfg.MTU = n
			case "idle":
				p.idle = new(sim.Cycle(n))
			case "ts":
				p.ts = true
			default:
				p.t.Fatalf("%s", line)
			}
		}
	case "advance":
		p.start()
		n, err := strconv.Atoi(words[1])
		require.NoError(p.t, err, line)
		p.advance(sim.Cycle(n))
	case "nobody":
		p.e.NoNeighbour(p.now, 0)
		p.flush("")
	default:
		if words[1] == "<" {
			p.start()
			p.receive(words[0], words[2:], line)
			return
		}
		for _, w := range words[1:] {
			if v, ok := strings.CutPrefix(w, "isn="); ok {
				n, err := strconv.ParseUint(v, 10, 32)
				require.NoError(p.t, err, line)
				p.isns[words[0]] = uint32(n)
				continue
			}
			p.opts[words[0]] += " " + w
		}
	}
}

func (p *play) advance(d sim.Cycle) {
	for end := p.now + d; ; {
		at, ok := p.e.Next()
		if !ok || at > end {
			p.now = end
			p.e.Advance(end)
			p.flush(fmt.Sprintf("@%d ", p.now))
			return
		}
		p.now = max(p.now, at)
		p.e.Advance(p.now)
		p.flush(fmt.Sprintf("@%d ", p.now))
	}
}

// who returns the host of a name, which a client gets when it first says something.
func (p *play) who(name string) *host {
	if h := p.named[name]; h != nil {
		return h
	}
	require.True(p.t, strings.HasPrefix(name, "client"), "there is no %s yet", name)
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "client"))
	h := p.born(name, p.addr(1), uint16(4000+n), listenPort, 1000)
	return h
}

func (p *play) born(name, ip string, port, local uint16, isn uint32) *host {
	h := &host{name: name, ip: ip, port: port, local: local, isn: isn, mss: 1460, sack: true, ts: p.ts, scale: 7, tsVal: 1_000_000}
	if v, ok := p.isns[name]; ok {
		h.isn = v
	}
	opts := p.opts[name]
	h.sack = !strings.Contains(opts, "no sack")
	h.ts = h.ts && !strings.Contains(opts, "no ts")
	if strings.Contains(opts, "no scale") {
		h.scale = -1
	}
	if _, v, ok := strings.Cut(opts, "mss="); ok {
		n, _ := strconv.Atoi(strings.Trim(strings.Fields(v)[0], ","))
		h.mss = uint16(n)
	}
	h.next = h.isn
	p.named[name] = h
	p.hosts[key(ip, port, local)] = h
	return h
}

func key(ip string, port, local uint16) string { return fmt.Sprint(ip, port, local) }

// receive has the engine get a segment of the host of that name.
func (p *play) receive(name string, words []string, line string) {
	h := p.who(name)
	flags := strings.Trim(words[0], "-")
	seq, ack, win := h.next, h.got, uint16(1000)
	ts, ecr := h.tsVal, h.tsRecent
	payload := ""
	var fields []TCPField
	rest := strings.TrimSpace(line[strings.Index(line, "<")+1:])
	if i := strings.IndexByte(rest, '"'); i >= 0 {
		s, err := strconv.Unquote(rest[i:])
		require.NoError(p.t, err, line)
		payload, rest = s, rest[:i]
	}
	var sacks []uint32
	for _, w := range strings.Fields(rest)[1:] {
		k, v, _ := strings.Cut(w, "=")
		n, _ := strconv.ParseInt(v, 10, 64)
		switch k {
		case "seq":
			seq = h.isn + uint32(n)
		case "ack":
			ack = h.peer + uint32(n)
		case "win":
			win = uint16(n)
		case "len":
			payload = strings.Repeat("x", int(n))
		case "ts":
			a, b, echoes := strings.Cut(v, ",")
			x, _ := strconv.ParseUint(a, 10, 32)
			if ts = uint32(x); echoes {
				y, _ := strconv.ParseUint(b, 10, 32)
				ecr = uint32(y)
			}
		case "sack":
			for _, r := range strings.Split(v, ",") {
				a, b, _ := strings.Cut(r, "-")
				x, _ := strconv.Atoi(a)
				y, _ := strconv.Atoi(b)
				sacks = append(sacks, h.peer+uint32(x), h.peer+uint32(y))
			}
		default:
			p.t.Fatalf("%s: %s", line, w)
		}
	}
	fields = append(fields, Seq(seq), Win(win))
	if strings.Contains(flags, "A") {
		fields = append(fields, Ack(ack))
	}
	if strings.Contains(flags, "S") {
		h.tsOn = h.ts
		fields = append(fields, MSS(h.mss))
		if h.sack {
			fields = append(fields, SACKPermitted())
		}
		if h.scale >= 0 {
			fields = append(fields, WScale(uint8(h.scale)))
		}
	}
	if h.tsOn && !strings.Contains(flags, "R") {
		h.tsVal = max(h.tsVal, ts) + 1
		fields = append(fields, TS(ts, ecr))
	}
	if len(sacks) > 0 {
		fields = append(fields, SACK(sacks...))
	}
	end := seq + uint32(len(payload))
	if strings.ContainsAny(flags, "SF") {
		end++
	}
	if int32(end-h.next) > 0 && !strings.Contains(flags, "R") {
		h.next = end
	}
	f := Eth("02:00:00:00:00:64", "02:00:00:00:00:01")
	if p.v6 {
		f = f.IPv6(h.ip, p.addr(100))
	} else {
		f = f.IPv4(h.ip, p.addr(100))
	}
	pkt := Packet(p.t, f.TCP(h.port, h.local, flags, fields...).Payload(payload))
	pkt.In = 0
	v := p.e.Process(p.now, pkt)
	p.flush("")
	switch v {
	case datapath.Forward:
		p.sent("", pkt.Data)
	case datapath.Consume:
	default:
		fmt.Fprintf(&p.out, ". %v\n", v)
	}
}

func (p *play) flush(at string) {
	for _, f := range p.e.Out() {
		p.sent(at, f.Data)
	}
	p.e.Flushed()
}

// sent tells a frame that the engine sends.
func (p *play) sent(at string, frame []byte) {
	pkt := datapath.Packet{Data: frame}
	require.Equal(p.t, datapath.Continue, p.parse.Process(0, &pkt), "%v: %x", pkt.Reason, frame)
	h := &pkt.PHV
	to := wire.FormatIP(h.IPDst)
	k := key(to, h.DstPort, h.SrcPort)
	x := p.hosts[k]
	if x == nil {
		name := map[string]string{p.addr(2): "server", p.addr(3): "other"}[to]
		require.NotEmpty(p.t, name, "to %s:%d", to, h.DstPort)
		if p.dialed[to]++; p.dialed[to] > 1 {
			name += strconv.Itoa(p.dialed[to])
		}
		x = p.born(name, to, h.DstPort, h.SrcPort, 5000)
	}
	if h.TCPFlags.Has(wire.SYN) || !x.heard {
		x.heard, x.peer = true, uint32(h.TCPSeq)
	}
	s := fmt.Sprintf("%s%s > %v seq=%d", at, x.name, h.TCPFlags, uint32(h.TCPSeq)-x.peer)
	if h.TCPFlags.Has(wire.ACK) {
		s += fmt.Sprintf(" ack=%d", uint32(h.TCPAck)-x.isn)
	}
	if !h.TCPFlags.Has(wire.RST) {
		s += fmt.Sprintf(" win=%d", h.TCPWindow)
	}
	s += p.options(x, wire.TCP(frame[h.L4Off:]))
	body := frame[h.PayloadOff:][:h.PayloadLen]
	switch {
	case len(body) > 60 && strings.Trim(string(body), "x") == "":
		s += fmt.Sprintf(" len=%d", len(body))
	case len(body) > 0:
		s += " " + strconv.Quote(string(body))
	}
	fmt.Fprintln(&p.out, s)
	end := uint32(h.TCPSeq) + h.PayloadLen
	if h.TCPFlags&(wire.FIN|wire.SYN) != 0 {
		end++
	}
	if int32(end-x.got) > 0 || x.got == 0 || h.TCPFlags.Has(wire.SYN) {
		x.got = end
	}
}

// options tells those of a segment to x.
func (p *play) options(x *host, t wire.TCP) (s string) {
	var o wire.TCPOption
	for it := wire.TCPOptions(t.Options()); it.Next(&o); {
		switch o.Kind {
		case wire.OptMSS:
			s += fmt.Sprintf(" mss=%d", uint16(o.Data[0])<<8|uint16(o.Data[1]))
		case wire.OptWindowScale:
			s += fmt.Sprintf(" scale=%d", o.Data[0])
		case wire.OptSACKPermitted:
			s += " sackok"
		case wire.OptTimestamps:
			v, r, _ := o.Timestamps()
			x.tsRecent = v
			s += fmt.Sprintf(" ts=%d,%d", v, r)
		case wire.OptSACK:
			blocks, n := o.SACKBlocks()
			for i, b := range blocks[:n] {
				sep := ","
				if i == 0 {
					sep = " sack="
				}
				s += fmt.Sprintf("%s%d-%d", sep, uint32(b.Left)-x.isn, uint32(b.Right)-x.isn)
			}
		}
	}
	return s
}
