package container

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshnic/meshnic/internal/failure"
)

// serve has h answer on a Unix socket, by HTTP/1.1 and HTTP/2 as runtimes do.
func serve(t *testing.T, h http.Handler) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s.sock")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return path
}

// dockerSaying answers with these documents, by path.
func dockerSaying(said map[string]any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := said[r.URL.Path]
		switch {
		case r.URL.Path == "/_ping":
			fmt.Fprint(w, "OK")
		case !ok || r.ProtoMajor != 1:
			http.Error(w, `{"message":"page not found"}`, http.StatusNotFound)
		default:
			json.NewEncoder(w).Encode(v)
		}
	})
}

type object = map[string]any

// A container is found by its name, its ID or a part of it; of one that cannot be had,
// it is said why and what to do.
func TestFindInDocker(t *testing.T) {
	const web, old, host = "aaaa000011112222", "bbbb000011112222", "aaaa999911112222"
	sock := serve(t, dockerSaying(map[string]any{
		"/containers/json": []object{
			{"Id": web, "Names": []string{"/web"}, "State": "running", "Labels": object{"app": "web"}},
			{"Id": old, "Names": []string{"/old"}, "State": "exited"},
			{"Id": host, "Names": []string{"/host"}, "State": "running"},
		},
		"/containers/" + web + "/json":  object{"State": object{"Status": "running", "Pid": 42}, "HostConfig": object{"NetworkMode": "bridge"}},
		"/containers/" + old + "/json":  object{"State": object{"Status": "exited", "Pid": 0}},
		"/containers/" + host + "/json": object{"State": object{"Status": "running", "Pid": 43}, "HostConfig": object{"NetworkMode": "host"}},
	}))
	for _, ref := range []string{"web", web, web[:6]} {
		c, err := Find(t.Context(), sock, ref)
		require.NoError(t, err, ref)
		require.Equal(t, Container{ID: web, Name: "web", Pid: 42, Labels: map[string]string{"app": "web"}}, c)
	}
	for _, tt := range []struct{ ref, says, next string }{
		{"nope", "find container nope: there is no such container", "choose one that runs: host, web"},
		{"old", "it is not running: exited", "docker start old"},
		{"aaaa", "there are several: " + web + ", " + host, "whole ID"},
		{"aa", "there is no such container", "choose one"},
	} {
		_, err := Find(t.Context(), sock, tt.ref)
		require.Equal(t, failure.Usage, failure.KindOf(err), tt.ref)
		require.ErrorContains(t, err, tt.says)
		require.ErrorContains(t, err, "next: ")
		require.ErrorContains(t, err, tt.next)
	}
	c, err := Find(t.Context(), sock, "host")
	require.NoError(t, err)
	_, err = c.Place("")
	require.ErrorContains(t, err, "it uses the host's network")
	require.ErrorContains(t, err, "--port a=IF")

	_, err = Pod(t.Context(), sock, "default/web")
	require.ErrorContains(t, err, "no runtime here serves CRI")
	_, err = Pods(t.Context(), sock, Selector{})
	require.ErrorContains(t, err, "no runtime here serves CRI")
}

// grpcSaying answers calls by method, and others as gRPC servers do.
func grpcSaying(said map[string]func(msg message) []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			http.Error(w, "gRPC wants HTTP/2", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		answer := said[r.URL.Path]
		if answer == nil {
			w.Header().Set("Grpc-Status", "12")
			w.Header().Set("Grpc-Message", "unknown%20method")
			return
		}
		b, _ := io.ReadAll(r.Body)
		b, err := unframe(b)
		if err != nil {
			panic(err)
		}
		m, err := decode(b)
		if err != nil {
			panic(err)
		}
		out := answer(m)
		w.Header().Set("Trailer", "Grpc-Status")
		w.Write(append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(out)))...))
		w.Write(out)
		w.Header().Set("Grpc-Status", "0")
	})
}

func sub(num protowire.Number, parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
}

func text(num protowire.Number, s string) []byte { return appendText(nil, num, s) }

func number(num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), n)
}

func pod(id, ns, name string, state uint64, labels map[string]string) []byte {
	return sub(1, text(1, id), sub(2, text(1, name), text(2, "uid"), text(3, ns), number(4, 1)), number(3, state), number(4, 1<<60), appendMap(nil, 5, labels))
}

func nothing(message) []byte { return nil }

func TestFindByCRI(t *testing.T) {
	sock := serve(t, grpcSaying(map[string]func(message) []byte{
		criService + "Version": nothing,
		criService + "ListPodSandbox": func(message) []byte {
			app := map[string]string{"app": "web", "tier": "front"}
			return slices.Concat(
				pod("p1", "default", "web-0", 0, app), pod("p0", "default", "web-0", 1, app), // the second is of before a restart
				pod("p2", "other", "web-1", 0, app), pod("p3", "default", "gone", 1, app), pod("p4", "default", "node", 0, app), pod("p5", "default", "db", 0, nil))
		},
		criService + "PodSandboxStatus": func(m message) []byte {
			if m.last(2).n != 1 {
				t.Error("not verbose")
			}
			mode := map[bool]uint64{true: 2}[m.text(1) == "p4"]
			info := `{"pid":77,"runtimeSpec":{"linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/run/netns/cni-` + m.text(1) + `"}]}}}`
			return slices.Concat(sub(1, text(1, m.text(1)), sub(6, sub(1, sub(2, number(1, mode))))), appendMap(nil, 2, map[string]string{"info": info}))
		},
		criService + "ListContainers": func(message) []byte {
			return sub(1, text(1, "c1c1c1"), text(2, "p1"), sub(3, text(1, "app")), number(6, 1))
		},
		criService + "ContainerStatus": func(message) []byte { return appendMap(nil, 2, map[string]string{"info": `{"pid":78}`}) },
	}))
	c, err := Pod(t.Context(), sock, "default/web-0")
	require.NoError(t, err)
	require.Equal(t, "p1", c.ID)
	require.Equal(t, 77, c.Pid)
	require.Equal(t, "/run/netns/cni-p1", c.NetNS)
	for ref, says := range map[string]string{
		"web-0": "want NAMESPACE/NAME", "default/": "want NAMESPACE/NAME",
		"default/gone": "it is not running: not ready", "default/x": "choose one that runs: default/db, default/node, default/web-0, other/web-1",
	} {
		_, err := Pod(t.Context(), sock, ref)
		require.Equal(t, failure.Usage, failure.KindOf(err), ref)
		require.ErrorContains(t, err, says)
	}
	sel, err := ParseSelector("app=web,tier=front")
	require.NoError(t, err)
	all, err := Pods(t.Context(), sock, sel)
	require.NoError(t, err)
	require.Equal(t, "default/web-0, other/web-1", names(all), "neither those that are over nor the node's network's")
	sel.Namespace = "other"
	all, err = Pods(t.Context(), sock, sel)
	require.NoError(t, err)
	require.Equal(t, "other/web-1", names(all))

	c, err = Find(t.Context(), sock, "app")
	require.NoError(t, err)
	require.Equal(t, 78, c.Pid)
}

func TestFindInContainerd(t *testing.T) {
	const s = "/containerd.services."
	sock := serve(t, grpcSaying(map[string]func(message) []byte{
		s + "version.v1.Version/Version":    nothing,
		s + "namespaces.v1.Namespaces/List": func(message) []byte { return sub(1, text(1, "default")) },
		s + "containers.v1.Containers/List": func(message) []byte {
			return slices.Concat(sub(1, text(1, "web0001"), appendMap(nil, 2, map[string]string{nerdctlName: "web"})), sub(1, text(1, "old0001")))
		},
		s + "tasks.v1.Tasks/List": func(message) []byte {
			return slices.Concat(sub(1, text(2, "web0001"), number(3, 99), number(4, 2)), sub(1, text(2, "old0001"), number(3, 98), number(4, 3)))
		},
	}))
	c, err := Find(t.Context(), sock, "web")
	require.NoError(t, err)
	require.Equal(t, 99, c.Pid)
	_, err = Find(t.Context(), sock, "old0001")
	require.ErrorContains(t, err, "it is not running")
}

// What cannot be asked, is told apart.
func TestRuntimeThatDoesNotAnswer(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	require.NoError(t, err)
	ln.SetUnlinkOnClose(false)
	ln.Close()
	for path, says := range map[string]string{
		filepath.Join(dir, "none.sock"): "no such file",
		dead:                            "connection refused",
	} {
		_, err := Find(t.Context(), path, "web")
		require.Equal(t, failure.Usage, failure.KindOf(err))
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, "--runtime unix:///path")
		require.NotContains(t, err.Error(), "http://")
	}
	_, err = Find(t.Context(), serve(t, http.NotFoundHandler()), "web")
	require.ErrorContains(t, err, "nothing there speaks Docker's API")
	err = unreachable("/run/docker.sock", fmt.Errorf("dial: %w", os.ErrPermission))
	require.Equal(t, failure.Privilege, failure.KindOf(err))
	require.ErrorContains(t, err, "sudo")
	err = unreachable("/run/docker.sock", context.DeadlineExceeded)
	require.ErrorContains(t, err, "no answer in 10s")
	_, err = Socket("tcp://1.2.3.4:2375")
	require.ErrorContains(t, err, "want a Unix socket")
	path, err := Socket("unix:///run/x.sock")
	require.NoError(t, err)
	require.Equal(t, "/run/x.sock", path)
}

func TestParseSelector(t *testing.T) {
	for _, bad := range []string{"", "app", "=x", "a=b,", "a!=b", "a == b", "a==b"} {
		_, err := ParseSelector(bad)
		require.Equal(t, failure.Usage, failure.KindOf(err), bad)
		require.ErrorContains(t, err, "KEY=VALUE")
	}
}

// Whatever a runtime says, it is read or refused.
func FuzzAnswer(f *testing.F) {
	f.Add(pod("p1", "default", "web-0", 0, map[string]string{"app": "web"}))
	f.Add(appendMap(nil, 2, map[string]string{"info": `{"pid":1}`}))
	f.Add(sub(1, text(2, "web"), number(3, 99), number(4, 2)))
	f.Add([]byte{0, 0, 0, 0, 2, 8, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if msg, err := unframe(b); err == nil && len(msg) != len(b)-5 {
			t.Fatalf("%d bytes of %d", len(msg), len(b))
		}
		m, err := decode(b)
		if err != nil {
			return
		}
		_, _ = sandboxesOf(m)
		_, _ = containersOf(m)
		_, _ = containerdList(m, m)
		var c Container
		_ = c.sandbox(m)
		if labels, err := m.pairs(1); err == nil { // what is decoded can be encoded back
			again, err := decode(appendMap(nil, 1, labels))
			require.NoError(t, err)
			back, err := again.pairs(1)
			require.NoError(t, err)
			require.Equal(t, labels, back, strconv.Quote(string(b)))
		}
	})
}
