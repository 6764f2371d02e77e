package mesh

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
)

// faulty decides on one request with the fields, and says what: "delay 1s",
// "503", both, or "".
func faulty(t testing.TB, f *Fault, cluster, fields string, draw func() uint64, c *FaultCounters) (does string) {
	t.Helper()
	h := &http1.Head{}
	_, err := h.Parse([]byte("GET / HTTP/1.1\r\nhost: h\r\n" + fields + "\r\n"))
	require.NoError(t, err)
	var a ActiveFaults
	x := compileFault(f, false)
	delay, r := x.Begin(h, cluster, &a, draw, c)
	active := delay > 0 || r != nil
	require.Equal(t, active, c.Active == 1)
	if delay > 0 {
		require.Nil(t, r)
		does, r = "delay "+delay.String()+" ", x.Go(h, &a, draw, c)
		active = r != nil
	}
	if r != nil {
		does += reasons[r.Status]
	}
	if active {
		x.End(&a, c)
	}
	require.Zero(t, a.n.Load(), "faults left")
	require.Zero(t, c.Active)
	return does
}

func TestFault(t *testing.T) {
	all, none := Fraction{Numerator: 100}, Fraction{}
	delay := &FaultDelay{Fixed: 1500 * time.Microsecond, Percentage: all}
	abort := &FaultAbort{Status: 503, Percentage: all}
	asked := &Fault{Delay: &FaultDelay{Percentage: all}, Abort: &FaultAbort{Percentage: all}}
	for _, tt := range []struct {
		name            string
		f               *Fault
		cluster, fields string
		want            string
	}{
		{"neither", &Fault{}, "c", "", ""},
		{"a delay, of whole ms", &Fault{Delay: delay}, "", "", "delay 1ms "},
		{"one below a ms", &Fault{Delay: &FaultDelay{Fixed: 999 * time.Microsecond, Percentage: all}}, "", "", ""},
		{"an abort", &Fault{Abort: abort}, "", "", "Service Unavailable"},
		{"both", &Fault{Delay: delay, Abort: abort}, "", "", "delay 1ms Service Unavailable"},
		{"of no requests", &Fault{Delay: &FaultDelay{Fixed: time.Second, Percentage: none}, Abort: &FaultAbort{Status: 503, Percentage: none}}, "", "", ""},
		{"of a cluster", &Fault{Abort: abort, Cluster: "c"}, "c", "", "Service Unavailable"},
		{"of another", &Fault{Abort: abort, Cluster: "c"}, "d", "", ""},
		{"of a header", &Fault{Abort: abort, Headers: []HeaderMatch{{Name: "A"}}}, "", "a: 1\r\n", "Service Unavailable"},
		{"without it", &Fault{Abort: abort, Headers: []HeaderMatch{{Name: "A"}}}, "", "b: 1\r\n", ""},
		{"of a node", &Fault{Abort: abort, Nodes: []string{"m", "n"}}, "", "x-envoy-downstream-service-node: n\r\n", "Service Unavailable"},
		{"of another node", &Fault{Abort: abort, Nodes: []string{"m", ""}}, "", "", ""},
		{"nothing asked for", asked, "", "", ""},
		{"asked for", asked, "", "x-envoy-fault-delay-request: 20\r\nx-envoy-fault-abort-request: 404\r\n", "delay 20ms Not Found"},
		{"for less", asked, "", "x-envoy-fault-delay-request: 20\r\nx-envoy-fault-delay-request-percentage: 0\r\nx-envoy-fault-abort-request: 404\r\n", "Not Found"},
		{"for no status", asked, "", "x-envoy-fault-abort-request: 100\r\n", ""},
		{"for a status of gRPC", asked, "", "x-envoy-fault-abort-grpc-request: 7\r\n", "OK"},
		{"for ages", asked, "", "x-envoy-fault-delay-request: 9223372036854775807\r\n", "delay 876000h0m0s "},
		{"for longer", asked, "", "x-envoy-fault-delay-request: 9223372036854775808\r\n", ""},
		{"for more than there is", &Fault{Abort: &FaultAbort{Percentage: none}}, "", "x-envoy-fault-abort-request: 404\r\nx-envoy-fault-abort-request-percentage: 100\r\n", ""},
	} {
		require.Equal(t, tt.want, faulty(t, tt.f, tt.cluster, tt.fields, func() uint64 { return 0 }, new(FaultCounters)), tt.name)
	}
}

// The same numbers by chance, the same faults; a share of them, as asked for.
func TestFaultIsSeeded(t *testing.T) {
	f := &Fault{Delay: &FaultDelay{Fixed: time.Second, Percentage: Fraction{2500, "TEN_THOUSAND"}}, Abort: &FaultAbort{Percentage: Fraction{Numerator: 90}}}
	run := func() (does []string, c FaultCounters) {
		n := uint64(0)
		for range 1000 {
			does = append(does, faulty(t, f, "", "x-envoy-fault-abort-request: 404\r\nx-envoy-fault-abort-request-percentage: 50\r\n", func() uint64 { n += 7919; return n }, &c))
		}
		return does, c
	}
	one, c := run()
	two, _ := run()
	require.Equal(t, one, two)
	require.InDelta(t, 250, c.Delays, 50)
	require.InDelta(t, 500, c.Aborts, 60)
}

func TestFaultOverflow(t *testing.T) {
	h, c := &http1.Head{}, FaultCounters{}
	_, err := h.Parse([]byte("GET / HTTP/1.1\r\nhost: h\r\n\r\n"))
	require.NoError(t, err)
	all := Fraction{Numerator: 100}
	f := compileFault(&Fault{Delay: &FaultDelay{Fixed: time.Second, Percentage: all}, Abort: &FaultAbort{Status: 500, Percentage: all}, MaxActive: new(uint32(1))}, false)
	var a ActiveFaults
	delay, r := f.Begin(h, "", &a, nil, &c)
	require.Equal(t, time.Second, delay)
	require.Nil(t, r)
	delay, r = f.Begin(h, "", &a, nil, &c)
	require.Zero(t, delay)
	require.Nil(t, r)
	require.Equal(t, FaultCounters{Delays: 1, Overflow: 2, Active: 1}, c)
	f.End(&a, &c)
	delay, _ = f.Begin(h, "", &a, nil, &c)
	require.Equal(t, time.Second, delay)
}

// A request that a fault does not mean costs no memory.
func TestFaultDoesNotAllocate(t *testing.T) {
	h, c := &http1.Head{}, FaultCounters{}
	_, err := h.Parse([]byte("GET / HTTP/1.1\r\nhost: h\r\na: 1\r\nx-envoy-fault-abort-request: 100\r\n\r\n"))
	require.NoError(t, err)
	var a ActiveFaults
	for _, f := range []*Fault{
		{Headers: []HeaderMatch{{Name: "b"}}, Abort: &FaultAbort{Status: 500, Percentage: Fraction{Numerator: 100}}},
		{Abort: &FaultAbort{Status: 500, Percentage: Fraction{Numerator: 100}}},
		{Delay: &FaultDelay{Fixed: 1, Percentage: Fraction{Numerator: 100}}},
	} {
		x := compileFault(f, false)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if _, r := x.Begin(h, "c", &a, nil, &c); r != nil {
				x.End(&a, &c)
			}
		}))
	}
}

func TestFaultOverrides(t *testing.T) {
	c := config()
	one, two, three := &Fault{Cluster: "1"}, &Fault{Cluster: "2"}, &Fault{Cluster: "3"}
	l := &c.Listeners[0]
	l.Filters = []Filter{{Fault: one}}
	l.VirtualHosts[0].Fault = two
	l.VirtualHosts[0].Routes = []Route{{Prefix: "/r", Cluster: "c", Fault: three}, {Prefix: "/", Cluster: "c"}}
	table, err := Compile(c)
	require.NoError(t, err)
	f, routes := table.Listeners[0].Filters[0].Fault, table.Listeners[0].any.routes
	require.Same(t, three, f.For(&routes[0]).Fault)
	require.Same(t, two, f.For(&routes[1]).Fault)
	require.Same(t, one, f.For(nil).Fault)
}

func TestFaultMistakes(t *testing.T) {
	for _, tt := range []struct {
		spoil func(l *Listener)
		want  string
	}{
		{func(l *Listener) { l.Filters = []Filter{{}} }, "http_filters[0]: want one of local_ratelimit and fault"},
		{func(l *Listener) { l.Filters = []Filter{{Fault: &Fault{}, RateLimit: &RateLimit{}}} }, "http_filters[0]: want one of"},
		{func(l *Listener) { l.Filters = append(l.Filters, l.Filters[0]) }, "http_filters[1].fault: is the second, want at most one"},
		{func(l *Listener) { l.Filters = nil; l.VirtualHosts[0].Fault = &Fault{} }, "virtual_hosts[0].fault: takes the place of a fault"},
		{func(l *Listener) { l.Filters = nil; l.VirtualHosts[0].Routes[0].Fault = &Fault{} }, "routes[0].fault: takes the place of a fault"},
		{func(l *Listener) { l.Filters[0].Fault.Delay.Fixed = -1 }, "http_filters[0].fault.delay.fixed_delay: is -1ns"},
		{func(l *Listener) { l.Filters[0].Fault.Delay.Percentage.Denominator = "TEN" }, `fault.delay.percentage.denominator: is "TEN"`},
		{func(l *Listener) { l.Filters[0].Fault.Abort.Status = 199 }, "fault.abort.http_status: is 199, want 200 to 599"},
		{func(l *Listener) { l.Filters[0].Fault.Headers = []HeaderMatch{{}} }, "fault.headers[0].name: is empty"},
	} {
		c := config()
		c.Listeners[0].Filters = []Filter{{Fault: &Fault{Delay: &FaultDelay{}, Abort: &FaultAbort{}}}}
		require.NoError(t, c.Validate())
		tt.spoil(&c.Listeners[0])
		require.ErrorContains(t, c.Validate(), tt.want)
	}
}
