package bench

import (
	"context"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// startProxyNIC puts the NIC between the lab's ports with the proxy of cfg on it,
// whose bootstrap it leaves in the run folder as file. args are options of attach besides.
func (g *rig) startProxyNIC(ctx context.Context, file string, cfg mesh.Config, args ...string) error {
	yaml, err := envoyconf.Bootstrap(cfg)
	if err != nil {
		return err
	}
	path, err := g.run.file(file, yaml)
	if err != nil {
		return err
	}
	g.proxy = path
	return g.startNIC(ctx, g.run.nicMode(), nic.Offload, append(args, "--config", path)...)
}

// vip is an address for a service: of the lab's network, so that hosts ask for it
// on the link, and no host's. There is room for 100 of them.
func (g *rig) vip(n int) string {
	client := g.lab.IP("client")
	return client[:strings.LastIndexByte(client, '.')+1] + strconv.Itoa(firstVIP+n)
}

// firstVIP is above the addresses of hosts, which a lab chooses from 10 up.
const firstVIP = 100
