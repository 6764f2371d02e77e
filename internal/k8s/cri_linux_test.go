package k8s

import (
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/meshnic/meshnic/hostif/container"
)

// runtime is one of Kubernetes' own making: its types, its gRPC.
type runtime struct {
	cri.UnimplementedRuntimeServiceServer
	t *testing.T
}

func (r *runtime) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: "fake", RuntimeVersion: "1", RuntimeApiVersion: "v1"}, nil
}

func (r *runtime) ListPodSandbox(context.Context, *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	pod := func(id, ns, name string, state cri.PodSandboxState, app string) *cri.PodSandbox {
		return &cri.PodSandbox{Id: id, Metadata: &cri.PodSandboxMetadata{Name: name, Namespace: ns, Uid: "u", Attempt: 1}, State: state,
			CreatedAt: 1 << 60, Labels: map[string]string{"app": app, "long": string(make([]byte, 300))}, Annotations: map[string]string{"a": "b"}, RuntimeHandler: "runc"}
	}
	return &cri.ListPodSandboxResponse{Items: []*cri.PodSandbox{
		pod("one", "default", "reviews-v1", cri.PodSandboxState_SANDBOX_READY, "reviews"),
		pod("two", "default", "reviews-v2", cri.PodSandboxState_SANDBOX_NOTREADY, "reviews"),
		pod("three", "kube-system", "proxy", cri.PodSandboxState_SANDBOX_READY, "reviews"),
		pod("four", "default", "ratings", cri.PodSandboxState_SANDBOX_READY, "ratings"),
	}}, nil
}

func (r *runtime) PodSandboxStatus(_ context.Context, req *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	if !req.Verbose {
		r.t.Errorf("status of %s without its pid", req.PodSandboxId)
	}
	mode := cri.NamespaceMode_POD
	if req.PodSandboxId == "three" {
		mode = cri.NamespaceMode_NODE
	}
	info, err := json.Marshal(map[string]any{"pid": 4711, "runtimeSpec": map[string]any{"linux": map[string]any{
		"namespaces": []map[string]string{{"type": "network", "path": "/run/netns/x"}}}}})
	if err != nil {
		return nil, err
	}
	return &cri.PodSandboxStatusResponse{Info: map[string]string{"info": string(info)}, Status: &cri.PodSandboxStatus{
		Id: req.PodSandboxId, Metadata: &cri.PodSandboxMetadata{Name: "x"}, Network: &cri.PodSandboxNetworkStatus{Ip: "10.0.0.1"},
		Linux: &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: &cri.NamespaceOption{Network: mode}}}}}, nil
}

func (r *runtime) ListContainers(context.Context, *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	return &cri.ListContainersResponse{Containers: []*cri.Container{
		{Id: "c0ffee", PodSandboxId: "one", Metadata: &cri.ContainerMetadata{Name: "reviews"}, State: cri.ContainerState_CONTAINER_RUNNING},
		{Id: "decaf0", PodSandboxId: "one", Metadata: &cri.ContainerMetadata{Name: "init"}, State: cri.ContainerState_CONTAINER_EXITED},
	}}, nil
}

func (r *runtime) ContainerStatus(_ context.Context, req *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	if req.ContainerId != "c0ffee" {
		return nil, status.Error(codes.NotFound, "no such container: "+req.ContainerId)
	}
	return &cri.ContainerStatusResponse{Info: map[string]string{"info": `{"pid":4712}`}}, nil
}

// The client that is written by hand understands what Kubernetes' own types and gRPC's
// own server say, and is understood.
func TestCRI(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "cri.sock")
	ln, err := net.Listen("unix", sock)
	require.NoError(t, err)
	srv := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(srv, &runtime{t: t})
	go srv.Serve(ln)
	defer srv.Stop()

	c, err := container.Pod(t.Context(), sock, "default/reviews-v1")
	require.NoError(t, err)
	require.Equal(t, "one", c.ID)
	require.Equal(t, 4711, c.Pid)
	require.Equal(t, "/run/netns/x", c.NetNS)
	require.Equal(t, "reviews", c.Labels["app"])
	_, err = container.Pod(t.Context(), sock, "default/reviews-v2")
	require.ErrorContains(t, err, "it is not running: not ready")
	c, err = container.Pod(t.Context(), sock, "kube-system/proxy")
	require.NoError(t, err)
	require.True(t, c.Host)

	sel, err := container.ParseSelector("app=reviews")
	require.NoError(t, err)
	all, err := container.Pods(t.Context(), sock, sel)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, "default/reviews-v1", all[0].Name)

	c, err = container.Find(t.Context(), sock, "reviews")
	require.NoError(t, err)
	require.Equal(t, 4712, c.Pid)
	_, err = container.Find(t.Context(), sock, "init")
	require.ErrorContains(t, err, "it is not running: exited")
}
