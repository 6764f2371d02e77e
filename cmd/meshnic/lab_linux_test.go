package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
)

// The lab of examples/bookinfo, by hand: its services find each other by name,
// reviews by turns, and down leaves nothing, the name server included.
func TestBookinfoInACluster(t *testing.T) { bookinfoInACluster(t, 1) }

// So do they on two nodes, over which they are spread.
func TestBookinfoOnTwoNodes(t *testing.T) { bookinfoInACluster(t, 2) }

func bookinfoInACluster(t *testing.T, nodes int) {
	hostiftest.NeedNet(t, netns.Probe)
	before := hostState(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "bookinfo", "lab.yaml"))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "lab.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(text, "nodes: %d\n", nodes), 0o644))
	code, plan, stderr := result(t, meshnic(t, "lab", "plan", file))
	require.Zero(t, code, stderr)
	require.Equal(t, nodes, strings.Count(plan, "numgen random mod 3 vmap"))
	require.Equal(t, 2*(nodes-1), strings.Count(plan, "type vxlan"))
	code, up, stderr := result(t, meshnic(t, "lab", "up", file))
	require.Zero(t, code, stderr)
	require.Contains(t, up, "productpage.default\t10.96.0.14\n")
	defer func() {
		code, _, stderr := result(t, meshnic(t, "lab", "down", "bookinfo"))
		require.Zero(t, code, stderr)
		require.Eventually(t, func() bool { return hostState(t) == before }, 60*time.Second, 20*time.Millisecond)
	}()
	exe, err := os.Executable()
	require.NoError(t, err)
	for _, pod := range []string{"details-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3", "productpage-v1"} {
		cmd := meshnic(t, "lab", "exec", "bookinfo", pod, exe, "bookinfo", pod)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { cmd.Wait() }) // down has ended what it ran
	}
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
			err = netns.Do(netns.Name("bookinfo", "client"), func() error {
				c, err = new(net.Dialer).DialContext(ctx, network, addr)
				return err
			})
			return c, err
		}}}
	page := func() string {
		r, err := client.Get("http://10.96.0.14:9080/productpage")
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return string(b)
	}
	seen, why := map[string]bool{}, ""
	for end := time.Now().Add(60 * time.Second); len(seen) < 3 && time.Now().Before(end); {
		text := page()
		if strings.Contains(text, "Error fetching") || !strings.Contains(text, "ISBN-10") {
			why = text
			time.Sleep(20 * time.Millisecond) // not all of them listen yet
			continue
		}
		seen[fmt.Sprint(strings.Contains(text, "text-black-500"), strings.Contains(text, "text-red-500"))] = true // the stars
	}
	require.Len(t, seen, 3, "all versions of reviews: %s", why)

	code, out, stderr := result(t, meshnic(t, "lab", "exec", "bookinfo", "client", "cat", "/etc/resolv.conf"))
	require.Zero(t, code, stderr)
	require.Contains(t, out, "nameserver 10.96.0.10")
	code, _, _ = result(t, meshnic(t, "lab", "exec", "bookinfo", "client", "sh", "-c", "exit 7"))
	require.Equal(t, 7, code, "the program's exit code")
}
