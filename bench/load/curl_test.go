package load

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

// needTool skips the test where a program is missing, or fails it in CI.
func needTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("MESHNIC_REQUIRE_NET") == "1" {
			t.Fatalf("MESHNIC_REQUIRE_NET=1 and %s is missing: %v", name, err)
		}
		t.Skipf("%s is missing: %v", name, err)
	}
	return path
}

func TestCurl(t *testing.T) {
	needTool(t, "curl")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			time.Sleep(30 * time.Millisecond)
		case "/hang":
			time.Sleep(600 * time.Millisecond)
		case "/404":
			w.WriteHeader(404)
		case "/cut":
			w.Header().Set("Content-Length", "100")
		case "/nothing":
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
			return
		}
		w.Write([]byte("hello"))
	}))
	defer srv.Close()
	five, six := int64(5), int64(6)
	for _, tt := range []struct {
		name string
		cfg  CurlConfig
		want Errors
	}{
		{"right", CurlConfig{URL: srv.URL, BodyLen: &five}, Errors{}},
		{"right, slow", CurlConfig{URL: srv.URL + "/slow"}, Errors{}},
		{"expected 404", CurlConfig{URL: srv.URL + "/404", Status: 404}, Errors{}},
		{"status", CurlConfig{URL: srv.URL + "/404"}, Errors{Status: 3}},
		{"wrong", CurlConfig{URL: srv.URL, BodyLen: &six}, Errors{Wrong: 3}},
		{"cut", CurlConfig{URL: srv.URL + "/cut"}, Errors{Reset: 3}},
		{"missing", CurlConfig{URL: srv.URL + "/nothing"}, Errors{Missing: 3}},
		{"timeout", CurlConfig{URL: srv.URL + "/hang", Timeout: 100 * time.Millisecond}, Errors{Timeout: 3}},
		{"refused", CurlConfig{URL: "http://127.0.0.1:1"}, Errors{Connect: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.N, tt.cfg.Warmup = 3, 1
			r, err := Curl(t.Context(), tt.cfg)
			require.NoError(t, err)
			require.Equal(t, tt.want, r.Errors, r.Examples)
			require.EqualValues(t, 3, r.N+r.Errors.Total())
			require.EqualValues(t, 1, r.Warmup)
			if tt.want == (Errors{}) {
				require.EqualValues(t, 3, r.N)
				require.EqualValues(t, 20, r.Bytes)
				require.EqualValues(t, 4, r.Connects)
				require.Positive(t, r.Generator.CPU)
				require.Positive(t, r.WallUS.P50)
			} else {
				require.Len(t, r.Examples, 1)
			}
			if tt.name == "right, slow" {
				require.Greater(t, r.WallUS.P50, 30e3)
			}
		})
	}

	_, err := Curl(t.Context(), CurlConfig{URL: srv.URL, N: 1, Command: []string{"no-such-curl"}})
	require.Equal(t, failure.Unsupported, failure.KindOf(err))
	require.True(t, errors.Is(err, exec.ErrNotFound))
	_, err = Curl(t.Context(), CurlConfig{URL: "file:///etc/passwd", N: 1})
	require.Equal(t, failure.Usage, failure.KindOf(err))
}
