package offload

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Config is fixed when the Offload is made.
type Config struct {
	Mesh  mesh.Config
	Conns int // connections there is room for, a power of two
	Ports int // of the NIC
	MTU   int // of its ports; 0 is 1500
	Clock sim.Clock
	Epoch time.Time // what the time of day was in cycle 0
	Seed  uint64
}

// Offload is a datapath.Stage behind the parser. It takes the segments and the ARP
// packets that are for the listeners' addresses, and lets everything else pass.
type Offload struct {
	cfg    Config
	engine *splice.Engine
	table  *mesh.Table

	listeners []*listener
	byAddr    map[splice.Addr]*listener
	owned     map[[16]byte]bool // addresses that we answer for
	clusters  []*cluster
	ends      []end // by splice.Endpoint

	flows  []flow
	heads  []*http1.Head // spare
	head   *http1.Head   // of the message being parsed
	again  *http1.Head   // of one that was written here
	out    []byte        // the head being written
	back   []byte        // the same, of the listener before
	direct mesh.Reply
	ids    *mesh.RequestIDs
	draw   func() uint64
	date   []byte
	dated  int64 // the second that date is of, since 1970

	drain      []splice.Endpoint // that have failed: their idle connections are to go
	renewAt    sim.Cycle
	neighbours neighbours
	frames     []splice.Frame // ARP
	now        sim.Cycle
}

// MAC is the hardware address of the NIC's own interfaces: locally administered.
var MAC = wire.MAC{0x02, 0x6e, 0x69, 0x63, 0x00, 0x01}

// New makes an Offload of what cfg describes.
func New(cfg Config) (*Offload, error) {
	table, err := mesh.Compile(cfg.Mesh)
	if err != nil {
		return nil, err
	}
	o := &Offload{
		cfg: cfg, table: table, byAddr: map[splice.Addr]*listener{}, owned: map[[16]byte]bool{},
		flows: make([]flow, cfg.Conns), head: new(http1.Head), out: make([]byte, 0, 4<<10), back: make([]byte, 0, 4<<10),
	}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], cfg.Seed)
	o.ids = mesh.NewRequestIDs(key)
	o.draw = rand.NewPCG(cfg.Seed, 1).Uint64
	o.engine, err = splice.New(splice.Config{Conns: cfg.Conns, Clock: cfg.Clock, Seed: cfg.Seed, MTU: cfg.MTU}, o)
	if err != nil {
		return nil, err
	}
	if err := o.listen(); err != nil {
		return nil, err
	}
	o.upstreams()
	return o, nil
}

// listen takes the listeners' addresses.
func (o *Offload) listen() error {
	for i := range o.table.Listeners {
		t := &o.table.Listeners[i]
		a := addrOf(t.Address)
		if o.byAddr[a] != nil {
			return fmt.Errorf("offload: listener %s: several filter chains for %v are not carried on the NIC", t.Name, t.Address)
		}
		if t.TLS != nil || t.TCP != nil {
			return fmt.Errorf("offload: listener %s: TLS and TCP proxies are not carried on the NIC", t.Name)
		}
		l := &listener{t: t, name: t.Address.String()}
		o.listeners = append(o.listeners, l)
		o.byAddr[a] = l
		o.owned[a.IP] = true
	}
	if len(o.listeners) == 0 {
		return fmt.Errorf("offload: no listener: there is no address to answer for")
	}
	return nil
}

// listener is a listener with its counters.
type listener struct {
	t    *mesh.CompiledListener
	name string
	c    mesh.ListenerCounters
}

// Name is the stage's name.
func (o *Offload) Name() string { return "offload" }

// Process takes what is for the listeners' addresses. What it makes of its own
// accord is in Out, before p.
func (o *Offload) Process(now sim.Cycle, p *datapath.Packet) datapath.Verdict {
	o.now = now
	if p.PHV.Has(datapath.HdrARP) {
		return o.arp(p)
	}
	return o.engine.Process(now, p)
}

// Advance does what is due at now.
func (o *Offload) Advance(now sim.Cycle) {
	o.now = now
	o.engine.Advance(now)
	o.sweep(now)
	o.resolve()
}

// Next is when Advance has something to do.
func (o *Offload) Next() (sim.Cycle, bool) { return o.engine.Next() }

// Out returns the frames that were made since the last Flushed.
func (o *Offload) Out() []splice.Frame {
	if len(o.frames) == 0 {
		return o.engine.Out()
	}
	return append(slices.Clip(o.engine.Out()), o.frames...)
}

// Flushed says that the frames of Out have left.
func (o *Offload) Flushed() {
	o.engine.Flushed()
	o.frames = o.frames[:0]
}

func addrOf(a netip.AddrPort) splice.Addr { return splice.Addr{IP: a.Addr().As16(), Port: a.Port()} }

func addrPort(a splice.Addr) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.IP).Unmap(), a.Port)
}

// since is the time from a to b.
func (o *Offload) since(a, b sim.Cycle) time.Duration { return o.cfg.Clock.Duration(b - a) }

// cycles converts a duration.
func (o *Offload) cycles(d time.Duration) sim.Cycle {
	return sim.Cycle(uint64(d) / 1000 * (o.cfg.Clock.Hz / 1000) / 1000)
}

// wall is the time of day now, in ns since 1970.
func (o *Offload) wall() int64 {
	return o.cfg.Epoch.UnixNano() + int64(o.cfg.Clock.Duration(o.now))
}

// today is the value of a Date field.
func (o *Offload) today() []byte {
	if s := o.wall() / int64(time.Second); s != o.dated || len(o.date) == 0 {
		o.dated = s
		o.date = mesh.AppendDate(o.date[:0], s)
	}
	return o.date
}

// Counters are those of the splice and, under Envoy's stat names, of the proxy.
func (o *Offload) Counters() map[string]uint64 {
	all := map[string]uint64{"splice.conns": uint64(o.engine.Conns()), "splice.held": uint64(o.engine.Held())}
	c := o.engine.Counters()
	c.Each(func(name string, v uint64) { all["splice."+name] = v })
	for _, s := range o.Stats() { // listeners may share a prefix
		all[s.Name] += s.Value
	}
	return all
}

// Stats lists the counters of listeners and clusters, as the sidecar does.
func (o *Offload) Stats() (out []mesh.Stat) {
	for _, l := range o.listeners {
		out = l.c.Stats(out, l.t, strings.ReplaceAll(l.name, ":", "_"))
	}
	for _, cl := range o.clusters {
		out = cl.c.Stats(out, cl.t.Name)
		out = cl.health.Stats(out)
	}
	return out
}
