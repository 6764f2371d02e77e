package mesh

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
)

// places are so many, and count themselves.
type places int

func (p *places) TakeRetry() bool {
	if *p == 0 {
		return false
	}
	*p--
	return true
}
func (p *places) EndRetry() { *p++ }

// policy compiles p as a route's.
func policy(t testing.TB, p RetryPolicy) *Retry {
	t.Helper()
	cfg := config()
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Retry = &p
	table, err := Compile(cfg)
	require.NoError(t, err)
	return table.Listeners[0].Route(head(t, "GET / HTTP/1.1\r\nhost: a\r\n\r\n")).Retry
}

func answered(t testing.TB, s string) *http1.Head {
	t.Helper()
	h := &http1.Head{}
	h.Reset(true)
	_, err := h.Parse([]byte("HTTP/1.1 " + strings.ReplaceAll(s, "|", "\r\n") + "\r\n\r\n"))
	require.NoError(t, err)
	return h
}

func TestRetryWords(t *testing.T) {
	for _, tt := range []struct {
		on, answers, losses string // answers and losses after which there is another try
	}{
		{"5xx", "500 502 503 504 599", "connect sent unsent"},
		{"gateway-error", "502 503 504", "connect sent unsent"},
		{"reset", "", "connect sent unsent"},
		{"reset-before-request", "", "connect unsent"},
		{"connect-failure", "", "connect"},
		{"retriable-4xx", "409", ""},
		{"retriable-status-codes", "429", ""},
		{"retriable-headers", "200|x-why:busy", ""},
		{"envoy-ratelimited", "503|x-envoy-ratelimited:true", ""},
		{"cancelled", "200|grpc-status:1", ""},
		{"unavailable", "200|grpc-status:14", ""},
		{"refused-stream", "", ""},
		{"gateway-error,retriable-4xx", "502 503 504 409", "connect sent unsent"},
	} {
		r := policy(t, RetryPolicy{On: strings.Split(tt.on, ","), Statuses: []uint32{429}, Headers: []HeaderMatch{{Name: "X-Why", Value: &StringMatch{Kind: MatchExact, Text: "busy"}}}})
		var answers, losses []string
		for _, s := range []string{"200", "404", "409", "429", "500", "502", "503", "504", "599", "200|x-why:busy", "200|x-why:not", "503|x-envoy-ratelimited:true",
			"200|grpc-status:0", "200|grpc-status:1", "200|grpc-status:14", "200|grpc-status:99", "200|grpc-status:x"} {
			if r.afterResponse(answered(t, s)) {
				answers = append(answers, s)
			}
		}
		require.ElementsMatch(t, strings.Fields(tt.answers), answers, tt.on)
		for _, l := range []struct {
			name string
			loss loss
			sent bool
		}{{"connect", lostConnecting, false}, {"sent", lostStream, true}, {"unsent", lostStream, false}, {"overflow", lostNothing, false}} {
			if r.afterLoss(l.loss, l.sent) {
				losses = append(losses, l.name)
			}
		}
		require.ElementsMatch(t, strings.Fields(tt.losses), losses, tt.on)
	}
}

func TestRetryWaits(t *testing.T) {
	for _, tt := range []struct {
		p    RetryPolicy
		most []time.Duration
	}{
		{RetryPolicy{}, []time.Duration{25e6, 50e6, 100e6, 200e6, 250e6, 250e6}},
		{RetryPolicy{Base: 10e6, Max: 30e6}, []time.Duration{10e6, 20e6, 30e6, 30e6}},
		{RetryPolicy{Base: time.Millisecond}, []time.Duration{1e6, 2e6, 4e6, 8e6, 10e6}},
		{RetryPolicy{Base: maxInterval, Max: maxInterval}, []time.Duration{maxInterval, maxInterval}},
	} {
		tt.p.On = []string{"5xx"}
		r := policy(t, tt.p)
		for n, most := range tt.most {
			require.Zero(t, r.wait(n, uint64(most.Milliseconds())))
			require.Equal(t, most-time.Millisecond, r.wait(n, uint64(most.Milliseconds())-1), "retry %d of %v", n, tt.p)
		}
		require.Equal(t, tt.most[len(tt.most)-1]-time.Millisecond, r.wait(1<<20, uint64(tt.most[len(tt.most)-1].Milliseconds())-1))
	}
}

func TestTries(t *testing.T) {
	bad, good := answered(t, "503 X"), answered(t, "200 OK")
	for _, tt := range []struct {
		name    string
		retries uint32
		places  places
		does    string // b a bad answer, g a good one, l a loss, o an overflow
		again   string // what is decided
		flag    Flags
		want    ClusterCounters
	}{
		{"good", 2, 1, "g", "n", 0, ClusterCounters{}},
		{"bad, then good", 2, 1, "bg", "yn", 0, ClusterCounters{RqRetry: 1, RqRetrySuccess: 1}},
		{"lost, bad, good", 2, 1, "lbg", "yyn", 0, ClusterCounters{RqRetry: 2, RqRetrySuccess: 1}},
		{"bad to the end", 2, 1, "bbb", "yyn", FlagURX, ClusterCounters{RqRetry: 2, RqRetryLimit: 1}},
		{"none to begin with", 0, 1, "b", "n", FlagURX, ClusterCounters{RqRetryLimit: 1}},
		{"no place", 2, 0, "b", "n", FlagUO, ClusterCounters{RqRetryOverflow: 1}},
		{"overflow, which counts as a success", 2, 1, "bo", "yn", 0, ClusterCounters{RqRetry: 1, RqRetrySuccess: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var x Tries
			var c ClusterCounters
			free := tt.places
			x.Begin(policy(t, RetryPolicy{On: []string{"5xx"}, Retries: tt.retries}))
			got := ""
			for n, what := range tt.does {
				var again bool
				switch what {
				case 'b':
					again = x.Answered(bad, &free, &c)
				case 'g':
					again = x.Answered(good, &free, &c)
				case 'l':
					again = x.Lost(&ReplyTerminated, &free, &c)
				case 'o':
					again = x.Lost(&ReplyOverflow, &free, &c)
				}
				require.Equal(t, n+1, x.Attempt())
				require.Equal(t, n > 0, x.Retried())
				if again {
					require.Equal(t, tt.places-1, free)
					x.Again(&c)
				}
				got += map[bool]string{true: "y", false: "n"}[again]
			}
			require.Equal(t, tt.again, got)
			require.Equal(t, tt.flag, x.Flag())
			require.Equal(t, tt.places, free, "places are given back")
			require.Equal(t, uint64(strings.Count(tt.again, "y")-strings.Count(tt.does[:strings.Count(tt.again, "y")], "l")), c.Again[503])
			c.Again = [1000]uint64{}
			require.Equal(t, tt.want, c)
		})
	}
	var x Tries
	var c ClusterCounters
	free := places(1)
	x.Begin(policy(t, RetryPolicy{On: []string{"5xx"}, Retries: 1}))
	require.True(t, x.Kept())
	require.True(t, x.Answered(bad, &free, &c))
	x.End(&free)
	require.Equal(t, places(1), free)
	require.False(t, x.Kept())
	x.Begin(nil)
	require.False(t, x.Answered(bad, &free, &c))
}

func TestReplyAfterTries(t *testing.T) {
	var x Tries
	var c ClusterCounters
	free := places(1)
	require.Equal(t, ReplyTerminated.Body, ReplyTerminated.After(&x).Body)
	x.Begin(policy(t, RetryPolicy{On: []string{"reset"}, Retries: 1}))
	require.True(t, x.Lost(&ReplyTerminated, &free, &c))
	x.Again(&c)
	require.False(t, x.Lost(&ReplyTerminated, &free, &c))
	r := ReplyTerminated.After(&x)
	require.Equal(t, "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection termination", r.Body)
	require.Equal(t, FlagURX.And(FlagUC), r.Flag)
	require.Equal(t, ReplyTimeout.Body, ReplyTimeout.After(&x).Body)
}

func TestBudget(t *testing.T) {
	b := RetryBudget{Percent: 20, Least: 3}
	for requests, want := range map[int64]int64{0: 3, 15: 3, 19: 3, 20: 4, 100: 20} {
		require.Equal(t, want, b.Allows(requests))
	}
}

// A try that is not the first looks for an endpoint that had none of the others,
// as often as it may.
func TestOtherHosts(t *testing.T) {
	for _, p := range Policies() {
		c := cluster(Policy(p), 2, 4)
		for i := range c.Endpoints {
			c.Endpoints[i] = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(1+i))
		}
		b := balancer(c, 5)
		var x Tries
		var counters ClusterCounters
		for range 200 {
			x.Begin(policy(t, RetryPolicy{On: []string{"5xx"}, Retries: 3, OtherHosts: true, HostAttempts: 200}))
			var got []int
			for range 4 {
				h := b.NextAgain(&x, 77, true, &counters)
				x.Tried(h)
				got = append(got, b.place(h))
				x.Again(&counters)
			}
			slices.Sort(got)
			require.Equal(t, []int{0, 1, 2, 3}, got, p)
			require.NotNil(t, b.NextAgain(&x, 77, true, &counters), "it takes one that was tried")
		}
	}
}

func TestAppendAgain(t *testing.T) {
	cfg := config()
	v := &cfg.Listeners[0].VirtualHosts[0]
	v.CountRequests = true
	v.Routes[0].Timeout, v.Routes[0].Retry = time.Second, &RetryPolicy{On: []string{"5xx"}, Retries: 9}
	table, err := Compile(cfg)
	require.NoError(t, err)
	h := head(t, "POST / HTTP/1.1\r\nhost: a\r\nx-request-id: 1\r\ncontent-length: 4\r\n\r\n")
	r := table.Listeners[0].Route(h)
	ids := NewRequestIDs([32]byte{})
	first := append(AppendRequest(nil, h, r, ids, nil), "body"...)
	var x Tries
	var c ClusterCounters
	x.Begin(r.Retry)
	require.Equal(t, string(first), string(AppendAgain(nil, first, r, &x, 0)))
	x.Again(&c)
	want := strings.NewReplacer("timeout-ms: 1000", "timeout-ms: 993", "count: 1", "count: 2").Replace(string(first))
	require.Equal(t, "x"+want, string(AppendAgain([]byte("x"), first, r, &x, 7*time.Millisecond)))
	require.Contains(t, string(AppendAgain(nil, first, r, &x, time.Hour)), "timeout-ms: 1\r\n")
	bare := []byte("GET / HTTP/1.1\r\nhost: a\r\n\r\nx-envoy-attempt-count: 1\r\n")
	require.Equal(t, "GET / HTTP/1.1\r\nhost: a\r\nx-envoy-expected-rq-timeout-ms: 1000\r\nx-envoy-attempt-count: 2\r\n\r\nx-envoy-attempt-count: 1\r\n", string(AppendAgain(nil, bare, r, &x, 0)))
	dst := make([]byte, 0, 1024)
	require.Zero(t, testing.AllocsPerRun(100, func() { AppendAgain(dst, first, r, &x, 3*time.Millisecond) }))
}

func TestRetriesAreValidated(t *testing.T) {
	for want, p := range map[string]RetryPolicy{
		`retry_policy.retry_on[1]: is "4xx", want one of 5xx, cancelled,`: {On: []string{"5xx", "4xx"}},
		`retry_policy.per_try_timeout: is -1ns`:                           {PerTry: -1},
		`retry_policy.max_interval: is 1s, and there is no base`:          {Max: time.Second},
		`retry_policy.base_interval: is 1µs, want 1 ms or more`:           {Base: time.Microsecond},
		`retry_policy.max_interval: is 1s, want no less than`:             {Base: time.Minute, Max: time.Second},
		`host_selection_retry_max_attempts: is 65537`:                     {HostAttempts: MaxHostAttempts + 1},
		`retriable_headers[0].name: is ":path"`:                           {Headers: []HeaderMatch{{Name: ":path"}}},
	} {
		cfg := config()
		cfg.Listeners[0].VirtualHosts[0].Routes[0].Retry = &p
		require.ErrorContains(t, cfg.Validate(), want)
		cfg = config()
		cfg.Listeners[0].VirtualHosts[0].Retry = &p
		require.ErrorContains(t, cfg.Validate(), want)
	}
	cfg := config()
	cfg.Listeners[0].VirtualHosts[0].Routes[0] = Route{Prefix: "/", Direct: &DirectResponse{Status: 200}, Retry: &RetryPolicy{}}
	require.ErrorContains(t, cfg.Validate(), "is for a cluster, and there is none")
	cfg = config()
	cfg.Clusters[0].Breakers = &Breakers{Budget: &RetryBudget{Percent: 101}}
	require.ErrorContains(t, cfg.Validate(), "circuit_breakers.retry_budget.budget_percent: is 101, want 0 to 100")
}
