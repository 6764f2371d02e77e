//go:build !linux

package container

import "github.com/meshnic/meshnic/internal/failure"

// Place is where a container is tied to this host.
type Place struct {
	Inside, Veth string
	Addrs        []string
}

// Place is Linux only.
func (c *Container) Place(string) (Place, error) {
	return Place{}, failure.New(failure.Unsupported, "find the interface of "+c.String(), "containers have veths on Linux", "run it on Linux")
}
