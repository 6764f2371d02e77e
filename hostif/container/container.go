// Package container finds running containers and the interfaces they have: it
// asks Docker by its HTTP API, containerd and every runtime that serves CRI by gRPC, over
// their Unix sockets. It reads only; nothing is changed in a runtime.
//
//	docker.go      Docker's API, which Podman has too
//	containerd.go  containerd's own API
//	cri.go         the Kubernetes Container Runtime Interface, v1
//	grpc.go        unary calls and the wire format of their messages
//	find.go        which socket, and which of its containers
//	place_linux.go from a process to the near end of its veth
package container

import (
	"context"
	"slices"
	"strings"
)

// Container is a container that runs, or the sandbox of a pod.
type Container struct {
	ID   string
	Name string // of a pod NAMESPACE/NAME
	// Pid is a process in it, as the runtime counts them; 0 if it is not running.
	Pid int
	// NetNS is its network namespace's file where the runtime says one.
	NetNS string
	// Host says that it has no network of its own.
	Host   bool
	State  string // where it does not run: in the runtime's words
	Labels map[string]string
}

// String is what a person calls it.
func (c *Container) String() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}

// runtime is what a socket serves.
type runtime interface {
	// list returns the containers that there are, perhaps with neither Pid nor NetNS.
	list(context.Context) ([]Container, error)
	// inspect fills in the rest.
	inspect(context.Context, *Container) error
}

// pods is a runtime that knows them.
type pods interface {
	sandboxes(context.Context) ([]Container, error)
	inspectSandbox(context.Context, *Container) error
}

// match returns those of all that ref means: by name, whole ID, or the beginning of an
// ID, in this order.
func match(all []Container, ref string) []Container {
	for _, is := range []func(*Container) bool{
		func(c *Container) bool { return c.Name == ref },
		func(c *Container) bool { return c.ID == ref },
		func(c *Container) bool { return len(ref) >= 4 && strings.HasPrefix(c.ID, ref) },
	} {
		var found []Container
		for _, c := range all {
			if is(&c) {
				found = append(found, c)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// names lists containers for a message: those that run first.
func names(all []Container) string {
	const most = 20
	var list []string
	for _, c := range all {
		list = append(list, c.String())
	}
	slices.Sort(list)
	if list = slices.Compact(list); len(list) > most {
		list = append(list[:most], "...")
	}
	return strings.Join(list, ", ")
}
