package container

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// cri is runtime.v1 (k8s.io/cri-api). The numbers are those of its api.proto.
type cri struct{ grpc }

const criService = "/runtime.v1.RuntimeService/"

func (r cri) ask(ctx context.Context, method string, msg []byte) (message, error) {
	b, err := r.call(ctx, criService+method, msg)
	if err != nil {
		return nil, err
	}
	return decode(b)
}

// ping reports whether it is this API.
func (r cri) ping(ctx context.Context) error {
	_, err := r.ask(ctx, "Version", nil)
	return err
}

// The values of PodSandboxState and ContainerState of what does not run.
var (
	sandboxStates   = map[uint64]string{1: "not ready"}
	containerStates = map[uint64]string{0: "created", 2: "exited", 3: "in an unknown state"}
)

// sandboxes lists pods, those that are over too.
func (r cri) sandboxes(ctx context.Context) ([]Container, error) {
	m, err := r.ask(ctx, "ListPodSandbox", nil)
	if err != nil {
		return nil, err
	}
	return sandboxesOf(m)
}

// sandboxesOf reads a ListPodSandboxResponse.
func sandboxesOf(m message) (all []Container, err error) {
	err = m.each(1, func(p message) error { // PodSandbox
		meta, err := p.sub(2)
		if err != nil {
			return err
		}
		labels, err := p.pairs(5)
		all = append(all, Container{ID: p.text(1), Name: meta.text(3) + "/" + meta.text(1), Labels: labels, State: sandboxStates[p.last(3).n]})
		return err
	})
	return all, err
}

func (r cri) inspectSandbox(ctx context.Context, c *Container) error {
	m, err := r.ask(ctx, "PodSandboxStatus", appendBool(appendText(nil, 1, c.ID), 2, true))
	if err != nil {
		return err
	}
	return c.sandbox(m)
}

// sandbox reads a PodSandboxStatusResponse.
func (c *Container) sandbox(m message) error {
	s, err := m.sub(1)
	for _, num := range []protowire.Number{6, 1, 2} { // LinuxPodSandboxStatus, Namespace, NamespaceOption
		if err == nil {
			s, err = s.sub(num)
		}
	}
	if err != nil {
		return err
	}
	const node = 2 // NamespaceMode NODE
	c.Host = s.last(1).n == node
	return c.verbose(m, 2)
}

func (r cri) list(ctx context.Context) ([]Container, error) {
	m, err := r.ask(ctx, "ListContainers", nil)
	if err != nil {
		return nil, err
	}
	return containersOf(m)
}

// containersOf reads a ListContainersResponse.
func containersOf(m message) (all []Container, err error) {
	err = m.each(1, func(p message) error { // Container
		meta, err := p.sub(3)
		if err != nil {
			return err
		}
		labels, err := p.pairs(8)
		all = append(all, Container{ID: p.text(1), Name: meta.text(1), Labels: labels, State: containerStates[p.last(6).n]})
		return err
	})
	return all, err
}

func (r cri) inspect(ctx context.Context, c *Container) error {
	m, err := r.ask(ctx, "ContainerStatus", appendBool(appendText(nil, 1, c.ID), 2, true))
	if err != nil {
		return err
	}
	return c.verbose(m, 2)
}

// verbose reads what containerd and CRI-O say of a container if asked for more than
// CRI has fields for: a JSON object under "info".
func (c *Container) verbose(m message, num protowire.Number) error {
	info, err := m.pairs(num)
	if err != nil {
		return err
	}
	if info["info"] == "" {
		return fmt.Errorf("the runtime does not say what process %s is", c)
	}
	var said struct {
		Pid         int `json:"pid"`
		RuntimeSpec struct {
			Linux struct {
				Namespaces []struct{ Type, Path string } `json:"namespaces"`
			} `json:"linux"`
		} `json:"runtimeSpec"`
	}
	if err := json.Unmarshal([]byte(info["info"]), &said); err != nil {
		return fmt.Errorf("what the runtime says of %s: %w", c, err)
	}
	c.Pid = said.Pid
	for _, n := range said.RuntimeSpec.Linux.Namespaces {
		if n.Type == "network" && strings.HasPrefix(n.Path, "/") {
			c.NetNS = n.Path
		}
	}
	return nil
}
