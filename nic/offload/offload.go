package offload

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/proxy/accesslog"
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

	Fallback Fallback // who carries what the NIC does not
	// Source is where connections to endpoints come from if no listener is at an address
	// of the NIC's own; it answers for it. Zero: then there must be one.
	Source netip.Addr

	Hostname       string        // for %HOSTNAME%
	LogFlush       time.Duration // how long a line of an access log may wait for its file; 0 means Envoy's default, 10 s
	StreamIdle     time.Duration // without a byte of a request's or its response's; 0 means Envoy's default, 5 min
	ConnectionIdle time.Duration // without a request, either side, unless its cluster says; 0 means Envoy's default, 1 h
	DrainTime      time.Duration // in which connections that are to go are asked to; 0 means Envoy's default, 10 min
}

// Offload is a datapath.Stage behind the parser. It takes the segments, and the questions
// who has them, that are for the listeners' addresses, and lets everything else pass.
type Offload struct {
	cfg        Config
	engine     *splice.Engine
	idle, keep sim.Cycle // Config's StreamIdle and ConnectionIdle
	perMS      uint64    // cycles

	listeners []*listener
	retired   []*listener // that a reload has taken away, with connections
	byAddr    map[splice.Addr]*listener
	owned     map[[16]byte]bool // addresses that we answer for
	sources   sources           // of these, where connections to endpoints come from
	clusters  []*cluster
	replaced  []*cluster        // by a reload, with requests
	ends      []end             // by splice.Endpoint
	spare     []splice.Endpoint // that nobody uses
	sidecar   *cluster          // whose endpoints are the host sidecar's listeners
	fallbacks map[Reason]uint64

	flows     []*[flowBlock]flow // in blocks that have had a connection
	accepted  uint64
	heads     []*http1.Head // spare
	head      *http1.Head   // of the message being parsed
	again     *http1.Head   // of one that was written here
	helds     []*held       // spare
	letGo     *held         // goes on, and may be held again
	entries   []*mesh.Entry // spare
	idleTries []*tries      // spare
	out       []byte        // the head being written
	back      []byte        // the same, of the listener before
	scratch   []byte
	rest      []byte     // of the request, what came behind its head
	said      mesh.Reply // the answer being given
	ids       *mesh.RequestIDs
	draw      func() uint64
	date      []byte
	dated     int64     // the second that date is of, since 1970
	redate    sim.Cycle // when that is over

	files     accesslog.Files
	logs      accesslog.Counters
	sinks     accesslog.Sinks
	failing   bool      // responses ask for the close of their connection
	drainFrom sim.Cycle // the same, more and more of them
	closeAt   sim.Cycle // when no new connections are taken any more, 0 for never

	drain   []splice.Endpoint // whose idle connections are to go
	askAt   sim.Cycle         // when neighbours are to be asked for, 0 for never
	gone    uint64            // how often one was there, and then not
	frames  []splice.Frame    // that were made since Flushed
	taken   int               // of the engine's, how many are among them
	asked   bool              // the last packet was of ARP or neighbour discovery
	lookups uint8             // for the request that is being decided
	now     sim.Cycle
}

// MAC is the hardware address of the NIC's own interfaces: locally administered.
var MAC = wire.MAC{0x02, 0x6e, 0x69, 0x63, 0x00, 0x01}

// New makes an Offload of what cfg describes. It opens the access logs' files, which
// Close gives back.
func New(cfg Config) (*Offload, error) {
	cfg.LogFlush = cmp.Or(cfg.LogFlush, 10*time.Second)
	cfg.StreamIdle = cmp.Or(cfg.StreamIdle, mesh.StreamIdleTimeout)
	cfg.ConnectionIdle = cmp.Or(cfg.ConnectionIdle, mesh.ConnectionIdleTimeout)
	cfg.DrainTime = cmp.Or(cfg.DrainTime, mesh.DrainTime)
	o := &Offload{
		cfg: cfg, flows: make([]*[flowBlock]flow, (cfg.Conns+flowBlock-1)/flowBlock), head: new(http1.Head), out: make([]byte, 0, 4<<10), back: make([]byte, 0, 4<<10),
	}
	o.fallbacks = map[Reason]uint64{}
	o.sidecar = &cluster{t: &mesh.CompiledCluster{Name: "fallback", Breakers: mesh.DefaultBreakers}, c: new(mesh.ClusterCounters)}
	o.perMS = cfg.Clock.Hz / 1000
	o.idle, o.keep = o.cycles(cfg.StreamIdle), o.cycles(cfg.ConnectionIdle)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], cfg.Seed)
	o.ids = mesh.NewRequestIDs(key)
	o.draw = rand.NewPCG(cfg.Seed, 1).Uint64
	var err error
	if o.engine, err = splice.New(splice.Config{Conns: cfg.Conns, Clock: cfg.Clock, Seed: cfg.Seed, MTU: cfg.MTU}, o); err != nil {
		return nil, err
	}
	p, err := o.prepare(cfg.Mesh)
	if err != nil {
		return nil, err
	}
	o.adopt(p)
	return o, nil
}

// Close closes the access logs' files. Nothing may use o any more.
func (o *Offload) Close() {
	o.sinks.HandOver()
	o.files.Close(nil)
	for _, f := range o.files {
		f.Wait()
	}
}

// Name is the stage's name.
func (o *Offload) Name() string { return "offload" }

// Process takes what is for the listeners' addresses. What it makes of its own
// accord is in Out, before p.
func (o *Offload) Process(now sim.Cycle, p *datapath.Packet) datapath.Verdict {
	o.now = now
	defer o.collect()
	switch h := &p.PHV; {
	case h.Has(datapath.HdrARP):
		o.asked = true
		return o.arp(p)
	case h.Has(datapath.HdrIPv6 | datapath.HdrICMP):
		o.asked = true
		return o.ndp(p)
	}
	o.asked = false
	return o.engine.Process(now, p)
}

// Hint and Warm fetch what is known of the connections of a batch of frames. See splice.Engine.
func (o *Offload) Hint(frame []byte) { o.engine.Hint(frame) }

// Warm goes on from what Hint was given.
func (o *Offload) Warm() { o.engine.Warm() }

// Work is what was done for the packet that Process was given last.
func (o *Offload) Work() datapath.Work {
	if o.asked {
		return datapath.Work{Told: true, Flow: -1}
	}
	return o.engine.Work()
}

// collect takes over what the engine has made, in its order, and asks for whom it has dialled.
func (o *Offload) collect() {
	o.resolve()
	out := o.engine.Out()
	o.frames = append(o.frames, out[o.taken:]...)
	o.taken = len(out)
}

// Advance does what is due at now.
func (o *Offload) Advance(now sim.Cycle) {
	o.now = now
	o.engine.Advance(now)
	o.resolve()
	o.sweep(now)
	o.sinks.HandOver()
	o.collect()
}

// Next is when Advance has something to do.
func (o *Offload) Next() (at sim.Cycle, ok bool) {
	at, ok = o.engine.Next()
	for _, t := range [...]sim.Cycle{o.askAt, o.nextSweep()} {
		if t != 0 && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}

// Out returns the frames that were made since the last Flushed.
func (o *Offload) Out() []splice.Frame { return o.frames }

// Flushed says that the frames of Out have left.
func (o *Offload) Flushed() {
	o.engine.Flushed()
	o.frames, o.taken = o.frames[:0], 0
}

func addrOf(a netip.AddrPort) splice.Addr { return splice.Addr{IP: a.Addr().As16(), Port: a.Port()} }

func addrPort(a splice.Addr) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.IP).Unmap(), a.Port)
}

// since is the time from a to b.
func (o *Offload) since(a, b sim.Cycle) time.Duration { return o.cfg.Clock.Duration(b - a) }

// cycles converts a duration.
func (o *Offload) cycles(d time.Duration) sim.Cycle {
	return sim.Cycle(uint64(d) / 1000 * o.perMS / 1000)
}

// wallAt is what the time of day is at a cycle, in ns since 1970.
func (o *Offload) wallAt(c sim.Cycle) int64 {
	return o.cfg.Epoch.UnixNano() + int64(o.cfg.Clock.Duration(c))
}

// today is the value of a Date field.
func (o *Offload) today() []byte {
	if o.now < o.redate {
		return o.date
	}
	ns := o.wallAt(o.now)
	s := ns / int64(time.Second)
	o.redate = o.now + max(o.cycles(time.Duration((s+1)*int64(time.Second)-ns)), 1)
	if s != o.dated || len(o.date) == 0 {
		o.dated = s
		o.date = mesh.AppendDate(o.date[:0], s)
	}
	return o.date
}
