package nic

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// Origin is what decides, beside its configuration and the frames, what a proxy does. A
// capture of its traffic says it in its comment, so that a replay does the same.
type Origin struct {
	Seed  uint64
	MTU   int       // bytes; 0: of no port
	Conns int       // that there is room for
	Ports int       // of the NIC
	Start time.Time // of cycle 0
	// Before is the host that the NIC is in front of, if it is.
	Before netip.Addr
}

const originForm = "meshnic proxy seed=%d mtu=%d conns=%d ports=%d start=%d"

// beforeForm is what follows where the NIC is in front of a host.
const beforeForm = " before="

// String is the comment.
func (o Origin) String() string {
	s := fmt.Sprintf(originForm, o.Seed, o.MTU, o.Conns, o.Ports, o.Start.UnixNano())
	if o.Before.IsValid() {
		s += beforeForm + o.Before.String()
	}
	return s
}

// ParseOrigin reads a comment. An error says that there is none in it.
func ParseOrigin(comment string) (o Origin, err error) {
	var start int64
	comment, host, in := strings.Cut(strings.TrimSpace(comment), beforeForm)
	_, err = fmt.Sscanf(comment, originForm, &o.Seed, &o.MTU, &o.Conns, &o.Ports, &start)
	o.Start = time.Unix(0, start)
	if err == nil && o.String() != comment {
		err = errors.New("more than that")
	}
	if err == nil && in {
		o.Before, err = netip.ParseAddr(host)
	}
	if err != nil {
		return Origin{}, failure.New(failure.BadFile, "the capture's comment", "it does not say how the proxy was that answered: its seed, its room, the time of cycle 0",
			"capture with meshnic attach --program offload --capture FILE")
	}
	return o, nil
}
