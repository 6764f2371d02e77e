package bookinfo

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		says string
	}{
		{"service", Options{Service: "shop"}, "productpage, details, ratings, reviews"},
		{"no service", Options{}, "productpage, details, ratings, reviews"},
		{"version", Options{Service: "reviews", Version: "v4"}, "v1, v2, v3"},
		{"image", Options{Service: "ratings-v-broken"}, "v1, v2, v-faulty, v-delayed, v-unavailable, v-unhealthy"},
		{"address", Options{Service: "details", Listen: "9080"}, "127.0.0.1:9080"},
		{"port", Options{Service: "details", Listen: ":99999"}, ":99999"},
		{"work", Options{Service: "details", Work: 7}, "Work(7)"},
		{"upstream port", Options{Service: "reviews", Getenv: vars{"RATINGS_SERVICE_PORT": "tcp://10.0.0.1:9080"}.get}, "RATINGS_SERVICE_PORT"},
		{"upstream host", Options{Service: "productpage", Getenv: vars{"DETAILS_HOSTNAME": "a b"}.get}, "DETAILS_HOSTNAME"},
		{"flood", Options{Service: "productpage", Getenv: vars{"FLOOD_FACTOR": "many"}.get}, "FLOOD_FACTOR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.Getenv == nil {
				tt.o.Getenv = vars{}.get
			}
			_, err := New(tt.o)
			require.Error(t, err)
			require.Equal(t, failure.Usage, failure.KindOf(err))
			require.Contains(t, err.Error(), tt.says)
			require.True(t, strings.HasPrefix(err.Error(), "bookinfo: "), err)
		})
	}
}

// Every image of every service starts, by either spelling.
func TestImages(t *testing.T) {
	for _, service := range Services() {
		require.Nil(t, Versions(service+"x"))
		for _, version := range Versions(service) {
			for _, o := range []Options{{Service: service, Version: version}, {Service: service + "-" + version}} {
				o.Getenv = vars{}.get
				s, err := New(o)
				require.NoError(t, err)
				require.Equal(t, service+"-"+version, s.name)
				require.Equal(t, ":9080", s.listen)
			}
		}
	}
}

func TestEnvironment(t *testing.T) {
	e := env{vars{"SERVICES_DOMAIN": "svc.local", "DETAILS_HOSTNAME": "d", "DETAILS_SERVICE_PORT": "1", "STAR_COLOR": "blue", "ENABLE_RATINGS": "TRUE"}.get, images("reviews")[2].env}
	p, err := newProductpage(e, nil, nil)
	require.NoError(t, err)
	require.Equal(t, authority{"d.svc.local", "1"}, p.details.authority)
	require.Equal(t, authority{"reviews.svc.local", "9080"}, p.reviews.authority)
	r, err := newReviews(e, nil, nil)
	require.NoError(t, err)
	require.Equal(t, "blue", r.color, "the environment overrides the image")
	require.True(t, r.rated)
	require.Equal(t, "null", r.podname)
	require.Equal(t, "v1", newRatings(env{vars{}.get, nil}, nil, nil).version)
}

func TestRunNamesTheOwnerOfThePort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	s, err := New(Options{Service: "details", Listen: ln.Addr().String(), Getenv: vars{}.get})
	require.NoError(t, err)
	err = s.Run(t.Context())
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.Contains(t, err.Error(), ln.Addr().String())
	if runtime.GOOS == "linux" {
		require.Contains(t, err.Error(), "by pid "+itoa(os.Getpid())+" (")
	}
	s, err = New(Options{Service: "details", Listen: "192.0.2.1:9080", Getenv: vars{}.get})
	require.NoError(t, err)
	require.Equal(t, failure.Usage, failure.KindOf(s.Run(t.Context())))
}

func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	s, err := New(Options{Service: "details", Listen: "127.0.0.1:0", Getenv: vars{}.get, Log: w})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	line, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	go io.Copy(io.Discard, r)
	require.Contains(t, line, "details-v1 listens on 127.0.0.1:")
	address := strings.TrimSuffix(strings.Fields(line)[5], ",")
	require.Contains(t, get(t, address, "/health"), "Details is healthy")
	stop()
	require.NoError(t, <-done)
	_, err = net.Dial("tcp", address)
	require.Error(t, err)
}

// slowService answers when it is let.
type slowService struct{ entered, leave chan bool }

func (s slowService) handle(ctx context.Context, _ *http.Request) response {
	s.entered <- true
	select {
	case <-s.leave:
	case <-ctx.Done():
	}
	return jsonReply(200, "{}")
}

func TestStop(t *testing.T) {
	run := func(t *testing.T, grace time.Duration) (slowService, net.Conn, net.Conn, func() error) {
		svc := slowService{make(chan bool), make(chan bool)}
		h := newHTTPD(liberty(), svc)
		h.grace = grace
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- h.serve(ctx, ln) }()
		idle, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { idle.Close() })
		busy, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { busy.Close() })
		io.WriteString(busy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-svc.entered
		return svc, idle, busy, func() error { stop(); return <-done }
	}
	t.Run("idle connections close, the others finish", func(t *testing.T) {
		svc, idle, busy, stop := run(t, time.Minute)
		go func() {
			io.ReadAll(idle) // it is closed before the busy one
			svc.leave <- true
		}()
		require.NoError(t, stop())
		b, err := io.ReadAll(busy)
		require.NoError(t, err)
		require.Contains(t, string(b), "200 OK")
		require.Contains(t, string(b), "Connection: Close")
	})
	t.Run("what takes too long is cut", func(t *testing.T) {
		_, _, busy, stop := run(t, time.Millisecond)
		require.NoError(t, stop())
		b, _ := io.ReadAll(busy)
		require.Empty(t, b)
	})
}

func TestIdleConnectionsClose(t *testing.T) {
	svc := newDetails(env{vars{}.get, nil}, func(time.Duration) {}, nil)
	st := webrick()
	st.idle = 500 * time.Millisecond
	h := newHTTPD(st, svc)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.serve(ctx, ln) }()
	began := time.Now()
	require.Contains(t, raw(t, ln.Addr().String(), "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), "Keep-Alive")
	require.GreaterOrEqual(t, time.Since(began), st.idle)
	stop()
	require.NoError(t, <-done)
	for want, st := range map[time.Duration]style{2 * time.Second: gunicorn(), 30 * time.Second: liberty(), 6 * time.Second: node()} {
		require.Equal(t, want, st.idle)
	}
}

// Requests written at once are answered in order, and a body that the service
// does not read is skipped.
func TestPipeline(t *testing.T) {
	a := start(t, Options{Service: "details"})
	got := raw(t, a, "POST /details/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /"+
		"POST /details/2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"+closing("GET", "/details/3"))
	var ids []string
	br := bufio.NewReader(strings.NewReader(got))
	for {
		resp, err := http.ReadResponse(br, nil)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		ids = append(ids, string(body[:8]))
	}
	require.Equal(t, []string{`{"id":1,`, `{"id":2,`, `{"id":3,`}, ids)
}

func TestUnreadBodyClosesInsteadOfDraining(t *testing.T) {
	a := start(t, Options{Service: "details"})
	got := raw(t, a, "POST /details/1 HTTP/1.1\r\nHost: x\r\nContent-Length: "+itoa(drainMax+1)+"\r\n\r\n"+strings.Repeat("x", drainMax+1))
	require.Contains(t, got, "Connection: close")
	require.Contains(t, got, `{"id":1,`)
}

func TestErrorsOnTheWire(t *testing.T) {
	for _, service := range Services() {
		a := start(t, Options{Service: service})
		for name, request := range map[string]string{
			"no version":     "GET /\r\n\r\n",
			"HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
			"two lengths":    "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
			"bad value":      "GET /health HTTP/1.1\r\nHost: x\r\na: b\rc\r\n\r\n",
			"bad field":      "GET /health HTTP/1.1\r\nHost: x\r\na b: c\r\n\r\n",
		} {
			got := raw(t, a, request)
			require.True(t, strings.HasPrefix(got, "HTTP/1.1 400 "), "%s %s: %q", service, name, got)
			require.Equal(t, 1, strings.Count(got, "HTTP/1.1 "), "%s %s: %q", service, name, got)
		}
		got := raw(t, a, "GET /health HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("a", 80<<10)+"\r\n\r\n")
		require.True(t, strings.HasPrefix(got, "HTTP/1.1 431 "), got)
	}
}
