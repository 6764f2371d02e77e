package clusterdns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// idle is how long a client over TCP may say nothing.
const idle = 5 * time.Second

// Serve answers at an address over UDP and TCP until ctx ends.
func Serve(ctx context.Context, at netip.AddrPort, a *Answerer) error {
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return denied(err, at)
	}
	defer udp.Close()
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return denied(err, at)
	}
	defer tcp.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { <-ctx.Done(); udp.Close(); tcp.Close() })
	wg.Go(func() {
		for {
			c, err := tcp.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				wg.Go(func() { stream(ctx, c, a) })
			}
		}
	})
	in, out := make([]byte, 4096), make([]byte, 0, maxUDP)
	for {
		n, from, err := udp.ReadFromUDPAddrPort(in)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("clusterdns: %w", err)
		}
		if reply := a.Answer(out, in[:n]); reply != nil {
			udp.WriteToUDPAddrPort(reply, from) // what is lost is asked again
		}
	}
}

// stream answers over one connection (RFC 1035 §4.2.2).
func stream(ctx context.Context, c net.Conn, a *Answerer) {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	defer c.Close()
	var length [2]byte
	for {
		c.SetDeadline(time.Now().Add(idle))
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, question); err != nil {
			return
		}
		reply := a.Answer(length[:2:2], question)
		if reply == nil {
			return
		}
		binary.BigEndian.PutUint16(reply, uint16(len(reply)-2))
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

func denied(err error, at netip.AddrPort) error {
	return failure.Wrap(failure.Usage, err, fmt.Sprintf("answer for names at %v", at), "choose an address of this host, and a port that is free")
}
