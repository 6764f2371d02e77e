package nictest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every request and response that is rendered is found where it lies.
func TestScanFindsWhatIsRendered(t *testing.T) {
	messages := 0
	for seed := range uint64(300) {
		c := Random(seed)
		for conn := range c.Connections {
			k := &c.Connections[conn]
			s := scanner{}
			s.scan(c.requests(conn), true)
			require.Empty(t, s.bad)
			require.Len(t, s.list, len(k.Exchanges))
			for i, m := range s.list {
				a, b, ok := c.find(m.Target)
				require.True(t, ok)
				require.Equal(t, []int{conn, i}, []int{a, b})
				require.Equal(t, k.Exchanges[i].method(), m.Method)
				raw, head := c.request(conn, i)
				require.Equal(t, len(raw), m.End-m.Start)
				require.Equal(t, head, m.HeadEnd-m.Start)
				messages++
			}
			s = scanner{response: true, methods: func(n int) string { return k.Exchanges[n].method() }}
			s.scan(c.responses(conn), true)
			require.Empty(t, s.bad)
			require.Equal(t, k.answered(), s.whole(), "seed %d, connection %d", seed, conn)
		}
	}
	require.Greater(t, messages, 500)
}

// What a scanner finds doesn't depend on how the stream came, and nothing makes it
// panic.
func FuzzScan(f *testing.F) {
	c := Random(1)
	f.Add(string(c.requests(0)), 7, false)
	f.Add(string(c.responses(0)), 7, true)
	f.Add("POST /0/0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nt: 1\r\n\r\n", 1, false)
	f.Fuzz(func(t *testing.T, in string, step int, response bool) {
		if len(in) > 1<<12 {
			return // a head without an end is searched anew at each step
		}
		fresh := func() *scanner {
			return &scanner{response: response, methods: func(int) string { return "GET" }}
		}
		whole, parts := fresh(), fresh()
		whole.scan([]byte(in), true)
		step = 1 + int(uint(step)%16)
		for n := 0; n < len(in); n += step {
			parts.scan([]byte(in[:n]), false)
		}
		parts.scan([]byte(in), true)
		if whole.bad != parts.bad || len(whole.list) != len(parts.list) {
			t.Fatalf("whole: %d messages %q; in parts: %d messages %q", len(whole.list), whole.bad, len(parts.list), parts.bad)
		}
		for i := range whole.list {
			if whole.list[i] != parts.list[i] {
				t.Fatalf("message %d: %+v and %+v", i, whole.list[i], parts.list[i])
			}
		}
		if whole.at > len(in) {
			t.Fatalf("read to %d of %d", whole.at, len(in))
		}
	})
}
