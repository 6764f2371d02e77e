//go:build linux

package sidecar

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// nameserver answers questions for IPv4 addresses (RFC 1035 §4) by what the test
// says. Nobody may keep an answer.
type nameserver struct {
	addr string
	mu   sync.Mutex
	of   map[string][]netip.Addr
}

func serveNames(t *testing.T) *nameserver {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	n := &nameserver{addr: c.LocalAddr().String(), of: map[string][]netip.Addr{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for q := make([]byte, 512); ; {
			k, from, err := c.ReadFrom(q)
			if err != nil {
				return
			}
			c.WriteTo(n.answer(q[:k]), from)
		}
	})
	t.Cleanup(func() { c.Close(); wg.Wait() })
	return n
}

// set has name stand for addrs.
func (n *nameserver) set(name string, addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of[name] = addrs
}

func (n *nameserver) answer(q []byte) []byte {
	const header, fixed = 12, 4 // type and class follow the name
	end := header
	var labels []string
	for q[end] != 0 {
		labels = append(labels, string(q[end+1:end+1+int(q[end])]))
		end += 1 + int(q[end])
	}
	end += 1 + fixed
	n.mu.Lock()
	addrs := n.of[strings.ToLower(strings.Join(labels, "."))]
	n.mu.Unlock()
	flags := uint16(0x8580) // an authoritative answer
	switch {
	case len(addrs) == 0:
		flags |= 3 // no such name
	case binary.BigEndian.Uint16(q[end-fixed:]) != 1: // no A
		addrs = nil
	}
	out := append([]byte(nil), q[:end]...)
	binary.BigEndian.PutUint16(out[2:], flags)
	binary.BigEndian.PutUint16(out[6:], uint16(len(addrs)))
	clear(out[8:header])
	for _, a := range addrs {
		four := a.As4()
		out = append(append(out, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), four[:]...)
	}
	return out
}

// resolver asks n.
func (n *nameserver) resolver() Resolver {
	return (&net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", n.addr)
	}}).LookupNetIP
}
