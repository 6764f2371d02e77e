//go:build linux

package sidecar

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/conformance"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// tape is a connection that keeps what is written.
type tape struct {
	net.Conn
	written bytes.Buffer
}

func (t *tape) Write(b []byte) (int, error) {
	t.written.Write(b)
	return t.Conn.Write(b)
}

// Whatever comes instead of a handshake or in the middle of a stream of records,
// the others are served, and nothing is left of it: neither a connection nor a
// coroutine. The input is a good client's with bytes changed, cut short, or doubled.
func TestHandshakeFlood(t *testing.T) {
	w := newSecureWorld(t)
	app := answer(t, ok("x"))
	for name, cfg := range map[string]mesh.Config{"one chain": w.mutual(app), "many chains": w.chains(app, true)} {
		t.Run(name, func(t *testing.T) {
			s := start(t, cfg, Options{Concurrency: 1})
			config := w.tlsClient(w.client)
			config.ServerName, config.InsecureSkipVerify = "a.example", true
			rec := &tape{Conn: dial(t, s)}
			good := tls.Client(rec, config)
			r := bufio.NewReader(good)
			ask(t, good, r, get)
			seed := rec.written.Bytes()
			rnd := rand.New(rand.NewPCG(3, 4))
			for range 300 {
				c, err := net.Dial("tcp", s.Addrs()[0].String())
				require.NoError(t, err)
				b := bytes.Clone(seed)
				switch rnd.IntN(4) {
				case 0:
					b = b[:rnd.IntN(len(b))]
				case 1:
					b = append(b[:rnd.IntN(len(b))], b...)
				}
				for range rnd.IntN(4) {
					if len(b) > 0 {
						b[rnd.IntN(min(len(b), 300))] = byte(rnd.IntN(256))
					}
				}
				c.Write(b)
				if rnd.IntN(2) == 0 {
					c.(*net.TCPConn).SetLinger(0)
				}
				c.Close()
				if _, body := ask(t, good, r, get); body != "x" && body != "exact" {
					t.Fatal(body)
				}
			}
			// A record in the middle of a good stream that nobody has encrypted.
			mid := dial(t, s)
			c := tls.Client(mid, config)
			ask(t, c, bufio.NewReader(c), get)
			_, err := mid.Write([]byte("\x17\x03\x03\x00\x20" + "not what it should be, not at all"))
			require.NoError(t, err)
			mid.SetDeadline(time.Now().Add(30 * time.Second))
			_, err = io.ReadAll(mid)
			require.False(t, err != nil && conformance.Reason(err) == "still open")
			open := make(chan int, 1)
			for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				s.workers[0].post(func() { open <- len(s.workers[0].open) })
				if n := <-open; n == 1 {
					break
				} else if time.Now().After(end) {
					t.Fatalf("%d connections are left", n)
				}
			}
		})
	}
}
