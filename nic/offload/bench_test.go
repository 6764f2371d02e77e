package offload

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	dt "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/proxy/mesh"
)

var (
	get = []byte("GET /reviews/1 HTTP/1.1\r\nHost: reviews\r\nUser-Agent: curl/8\r\nAccept: */*\r\nX-Request-Id: 1\r\n\r\n")
	ok  = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nServer: app\r\n\r\n{}")
)

// decided is an Offload whose splice is left out: what it decides of a request and its
// response is asked for directly.
type decided struct {
	o   *Offload
	now sim.Cycle
}

func newDecided(tb testing.TB, legs int, logs []mesh.AccessLog, retry *mesh.RetryPolicy) *decided {
	return newSized(tb, legs, 64, logs, retry)
}

func newSized(tb testing.TB, legs, conns int, logs []mesh.AccessLog, retry *mesh.RetryPolicy) *decided {
	cfg := mesh.Config{}
	for i := range legs {
		at := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.200"), uint16(80+i))
		to := "10.0.0.3:80"
		if i+1 < legs {
			to = netip.AddrPortFrom(at.Addr(), uint16(81+i)).String()
		}
		name := string(rune('a' + i))
		cfg.Listeners = append(cfg.Listeners, mesh.Listener{Name: name, Address: at.String(), StatPrefix: name, Logs: logs,
			VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: name, Timeout: 15 * time.Second, Retry: retry}}}}})
		cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: name, Endpoints: []mesh.Endpoint{{Address: to}}})
	}
	o, err := New(Config{Mesh: cfg, Conns: conns, Ports: 2, Clock: sim.Clock{Hz: 250_000_000}, Epoch: time.Unix(1_700_000_000, 0)})
	require.NoError(tb, err)
	tb.Cleanup(o.Close)
	d := &decided{o: o, now: 1000}
	o.Advance(d.now) // asks for the endpoints
	o.Flushed()
	d.connect(tb, 4000)
	return d
}

// connect opens the connection of a client.
func (d *decided) connect(tb testing.TB, port uint16) {
	segment := func(flags string, fields ...dt.TCPField) {
		f := dt.Eth("02:00:00:00:00:64", "02:00:00:00:00:01").IPv4("10.0.0.2", "10.0.0.200").TCP(port, 80, flags, fields...)
		require.Equal(tb, datapath.Consume, d.o.Process(d.now, dt.Packet(tb, f)))
	}
	segment("S", dt.Seq(0))
	out := d.o.Out()
	require.Len(tb, out, 1)
	isn := wire.TCP(out[0].Data[wire.EthernetLen+wire.IPv4MinLen:]).Seq()
	d.o.Flushed()
	segment("A", dt.Seq(1), dt.Ack(uint32(isn)+1), dt.Win(60000))
}

// exchange is a request with its response.
func (d *decided) exchange(tb testing.TB) {
	d.now += 1000
	r := d.o.Request(d.now, 0, get)
	if r.Do != splice.Send || !d.o.Joined(d.now, 0) {
		tb.Fatal("the request is not sent")
	}
	d.now += 1000
	if r = d.o.Response(d.now, 0, ok); r.Do != splice.Send || r.Body != 2 {
		tb.Fatal("the response is not passed on")
	}
	d.o.Answered(d.now, 0)
	d.o.Completed(d.now, 0)
	d.o.sinks.HandOver()
}

var text = func(dir string) []mesh.AccessLog { return []mesh.AccessLog{{Path: filepath.Join(dir, "log")}} }

// A request that goes on costs no memory, with counters, a log line and through two
// listeners.
func TestNoAllocation(t *testing.T) {
	for _, tt := range []struct {
		name  string
		legs  int
		logs  []mesh.AccessLog
		retry *mesh.RetryPolicy
	}{{"one listener", 1, nil, nil}, {"two listeners", 2, nil, nil}, {"with a log", 1, text(t.TempDir()), nil},
		{"two listeners that may try again", 2, nil, &mesh.RetryPolicy{On: []string{"5xx"}, Retries: 2, OtherHosts: true}}} {
		d := newDecided(t, tt.legs, tt.logs, tt.retry)
		for range 2000 { // buffers get their size
			d.exchange(t)
		}
		require.Zero(t, testing.AllocsPerRun(500, func() { d.exchange(t) }), tt.name)
		require.EqualValues(t, 2501, d.o.listeners[0].c.RqTotal)
		require.EqualValues(t, 2501, d.o.clusters[tt.legs-1].c.Status[200])
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, bb := range []struct {
		name string
		legs int
		logs []mesh.AccessLog
	}{{"one", 1, nil}, {"two", 2, nil}, {"logged", 1, text(b.TempDir())}} {
		b.Run(bb.name, func(b *testing.B) {
			d := newDecided(b, bb.legs, bb.logs, nil)
			b.ReportAllocs()
			for b.Loop() {
				d.exchange(b)
			}
		})
	}
}
