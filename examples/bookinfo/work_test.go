package bookinfo

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

func TestParseWork(t *testing.T) {
	for _, w := range []Work{Native, Polyglot, Paper} {
		got, err := ParseWork(w.String())
		require.NoError(t, err)
		require.Equal(t, w, got)
	}
	for _, s := range []string{"", "Polyglot", "fast", "Work(3)"} {
		_, err := ParseWork(s)
		require.Equal(t, failure.Usage, failure.KindOf(err))
		require.Contains(t, err.Error(), "native, polyglot, paper")
	}
}

// What a page burns in all services together is what was measured on the
// originals; without calls to ratings it is less.
func TestWorkOfAPage(t *testing.T) {
	spent := func(version, path string) (by map[string]time.Duration, all time.Duration) {
		var mu sync.Mutex
		by = make(map[string]time.Duration)
		count := func(s *Server) {
			note := func(d time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				by[s.name] += d
				all += d
			}
			switch svc := s.httpd.svc.(type) {
			case *productpage:
				svc.burn = note
			case *details:
				svc.burn = note
			case *reviews:
				svc.burn = note
			case *ratings:
				svc.burn = note
			}
		}
		e := vars{}.with("ratings", start(t, Options{Service: "ratings"}, count))
		e = e.with("reviews", start(t, Options{Service: version, Getenv: e.get}, count))
		e = e.with("details", start(t, Options{Service: "details"}, count))
		get(t, start(t, Options{Service: "productpage", Getenv: e.get}, count), path)
		return by, all
	}
	const ms = time.Millisecond
	by, all := spent("reviews-v3", "/productpage")
	require.True(t, 4400*time.Microsecond <= all && all <= 7600*time.Microsecond, all)
	require.InDelta(t, 2.0/3, float64(by["productpage-v1"])/float64(all), 0.05)
	for name, between := range map[string][2]time.Duration{ // reference §2
		"productpage-v1": {3100 * time.Microsecond, 4600 * time.Microsecond},
		"reviews-v3":     {600 * time.Microsecond, 1500 * time.Microsecond},
		"details-v1":     {600 * time.Microsecond, 1100 * time.Microsecond},
		"ratings-v1":     {130 * time.Microsecond, 380 * time.Microsecond},
	} {
		require.True(t, between[0] <= by[name] && by[name] <= between[1], "%s burns %v", name, by[name])
	}
	v2, same := spent("reviews-v2", "/productpage")
	require.Equal(t, all, same)
	v1, less := spent("reviews-v1", "/productpage")
	require.Less(t, v1["reviews-v1"], v2["reviews-v2"])
	require.Zero(t, v1["ratings-v1"])
	require.Less(t, less, all-ms/2)
	_, health := spent("reviews-v1", "/health")
	require.Equal(t, burnPageRequest, health)
}
