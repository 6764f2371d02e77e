package container

import (
	"context"
	"strings"
)

// containerd is its own API, for containers that no other runtime has made
// (nerdctl, ctr). The numbers are those of api/services/*/v1/*.proto.
type containerd struct{ grpc }

// namespaceHeader says whose containers a call is about.
const namespaceHeader = "containerd-namespace"

// nerdctlName is the label that has the name that nerdctl gave a container.
const nerdctlName = "nerdctl/name"

func (r containerd) ask(ctx context.Context, method, namespace string) (message, error) {
	b, err := r.call(ctx, "/containerd.services."+method, nil, namespaceHeader, namespace)
	if err != nil {
		return nil, err
	}
	return decode(b)
}

// ping reports whether it is this API.
func (r containerd) ping(ctx context.Context) error {
	_, err := r.ask(ctx, "version.v1.Version/Version", "default")
	return err
}

// list says of every container which process it is, so that there is nothing left
// to inspect.
func (r containerd) list(ctx context.Context) (all []Container, err error) {
	m, err := r.ask(ctx, "namespaces.v1.Namespaces/List", "default")
	if err != nil {
		return nil, err
	}
	err = m.each(1, func(ns message) error {
		containers, err := r.ask(ctx, "containers.v1.Containers/List", ns.text(1))
		if err != nil {
			return err
		}
		tasks, err := r.ask(ctx, "tasks.v1.Tasks/List", ns.text(1))
		if err != nil {
			return err
		}
		some, err := containerdList(containers, tasks)
		all = append(all, some...)
		return err
	})
	return all, err
}

// containerdList joins a ListContainersResponse with a ListTasksResponse.
func containerdList(containers, tasks message) (all []Container, err error) {
	pids := map[string]int{}
	err = tasks.each(1, func(p message) error { // containerd.v1.types.Process: container_id 1, id 2, pid 3, status 4
		const running, paused = 2, 4
		if s := p.last(4).n; s == running || s == paused {
			id := p.text(1)
			if id == "" { // containerd says it in the other field
				id = p.text(2)
			}
			pids[id] = int(int32(p.last(3).n))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = containers.each(1, func(x message) error { // Container: id 1, labels 2
		labels, err := x.pairs(2)
		c := Container{ID: x.text(1), Name: strings.TrimSpace(labels[nerdctlName]), Labels: labels, Pid: pids[x.text(1)]}
		if c.Pid == 0 {
			c.State = "not running"
		}
		all = append(all, c)
		return err
	})
	return all, err
}

func (containerd) inspect(context.Context, *Container) error { return nil }
