package bookinfo

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// faulty returns ratings of a version with a clock, a source of chance and a
// sleep in the test's hands.
func faulty(t *testing.T, version string) (address string, s *ratings) {
	address = start(t, Options{Service: "ratings", Version: version}, func(srv *Server) {
		s = srv.httpd.svc.(*ratings)
		s.now = func() time.Time { return s.start }
	})
	return address, s
}

const (
	goodRating = `{"id":0,"ratings":{"Reviewer1":5,"Reviewer2":4}}`
	badRating  = `{"error":"Service unavailable"}`
)

func rating(t *testing.T, a string) (status, body string) {
	head, chunk := headBody(t, get(t, a, "/ratings/0"))
	_, body, _ = strings.Cut(chunk, "\r\n")
	return strings.Fields(head)[1], strings.TrimSuffix(body, "\r\n0\r\n\r\n")
}

func TestFaulty(t *testing.T) {
	a, s := faulty(t, "v-faulty")
	for _, tt := range []struct {
		random float64
		status string
		body   string
	}{{0, "503", badRating}, {0.5, "503", badRating}, {0.51, "200", goodRating}, {0.99, "200", goodRating}} {
		s.random = func() float64 { return tt.random }
		status, body := rating(t, a)
		require.Equal(t, tt.status, status)
		require.Equal(t, tt.body, body)
	}
	require.Contains(t, get(t, a, "/health"), "Ratings is healthy")
}

func TestDelayed(t *testing.T) {
	a, s := faulty(t, "v-delayed")
	var slept time.Duration
	s.sleep = func(_ context.Context, d time.Duration) { slept += d }
	s.random = func() float64 { return 0.51 }
	_, body := rating(t, a)
	require.Equal(t, goodRating, body)
	require.Zero(t, slept)
	s.random = func() float64 { return 0.5 }
	_, body = rating(t, a)
	require.Equal(t, goodRating, body)
	require.Equal(t, 7*time.Second, slept)
}

func TestChanceIsFair(t *testing.T) {
	_, s := faulty(t, "v-faulty")
	const n = 2000
	bad := 0
	for range n {
		if s.get(t.Context(), "/ratings/0").status == 503 {
			bad++
		}
	}
	require.InDelta(t, n/2, bad, 6*22.4) // six standard deviations
}

func TestTurningOver(t *testing.T) {
	for _, tt := range []struct {
		version string
		every   time.Duration
		health  string // in the bad half
	}{{"v-unavailable", time.Minute, "200"}, {"v-unhealthy", 15 * time.Minute, "500"}} {
		a, s := faulty(t, tt.version)
		for _, at := range []struct {
			after time.Duration
			bad   bool
		}{{0, false}, {tt.every - 1, false}, {tt.every, true}, {2*tt.every - 1, true}, {2 * tt.every, false}, {3 * tt.every, true}} {
			s.now = func() time.Time { return s.start.Add(at.after) }
			status, body := rating(t, a)
			health := strings.Fields(get(t, a, "/health"))[1]
			if at.bad {
				require.Equal(t, "503"+badRating, status+body, "%s after %v", tt.version, at.after)
				require.Equal(t, tt.health, health)
			} else {
				require.Equal(t, "200"+goodRating, status+body, "%s after %v", tt.version, at.after)
				require.Equal(t, "200", health)
			}
		}
	}
}

// What is not supported says so instead of pretending.
func TestNotSupported(t *testing.T) {
	const down = `{"error":"could not connect to ratings database"}`
	my := start(t, Options{Service: "ratings-v2", Getenv: vars{"DB_TYPE": "mysql"}.get})
	status, body := rating(t, my)
	require.Equal(t, "200"+down, status+body)
	a, _ := faulty(t, "v2")
	status, body = rating(t, a)
	require.Equal(t, "500"+down, status+body)
	require.Contains(t, raw(t, a, posting("/ratings/0", "{}")), `{"error":"Post not implemented for database backed ratings"}`)
	require.Contains(t, get(t, a, "/health"), "200 OK")

	var log strings.Builder
	s, err := New(Options{Service: "details-v2", Getenv: vars{}.get, Log: &log})
	require.NoError(t, err)
	require.Contains(t, log.String(), "ENABLE_EXTERNAL_BOOK_SERVICE is not supported")
	d := s.httpd.svc.(*details)
	require.True(t, d.external)
	b := start(t, Options{Service: "details", Getenv: vars{"ENABLE_EXTERNAL_BOOK_SERVICE": "true"}.get})
	require.Contains(t, get(t, b, "/details/0"), "HTTP/1.1 501 Not Implemented\r\n")
	require.Contains(t, get(t, b, "/details/abc"), "HTTP/1.1 400 Bad Request\r\n")
}

// The methods that the original never answers: silence, then the end.
func TestHangingMethods(t *testing.T) {
	const limit = 80 * time.Millisecond
	for _, method := range []string{"HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			a := start(t, Options{Service: "ratings"}, func(s *Server) { s.httpd.hang = limit })
			began := time.Now()
			require.Empty(t, raw(t, a, closing(method, "/ratings/0")))
			require.GreaterOrEqual(t, time.Since(began), limit)
		})
	}
	t.Run("a client that leaves frees the connection", func(t *testing.T) {
		var h *httpd
		a := start(t, Options{Service: "ratings"}, func(s *Server) { h = s.httpd })
		c, err := net.Dial("tcp", a)
		require.NoError(t, err)
		_, err = c.Write([]byte(closing("PUT", "/ratings/0")))
		require.NoError(t, err)
		open := func() int {
			h.mu.Lock()
			defer h.mu.Unlock()
			return len(h.conns)
		}
		require.Eventually(t, func() bool { return open() == 1 }, 20*time.Second, time.Millisecond)
		c.Close()
		require.Eventually(t, func() bool { return open() == 0 }, 20*time.Second, time.Millisecond)
	})
}
