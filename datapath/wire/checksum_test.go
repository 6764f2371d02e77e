package wire

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// slowSum is RFC 1071 word by word.
func slowSum(b []byte, acc uint16) uint16 {
	s := uint32(acc)
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		s += w
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSumMatchesWordByWord(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 400 {
		for range 20 {
			b := make([]byte, n)
			for i := range b {
				switch r.IntN(4) {
				case 0:
					b[i] = 0xff // carries
				case 1:
					b[i] = byte(r.Uint32())
				}
			}
			acc := uint16(r.Uint32())
			require.Equal(t, slowSum(b, acc), Sum(b, acc), "n=%d acc=%#x % x", n, acc, b)
		}
	}
}

// RFC 1071 §3's own example: the words sum to 2ddf0, folded ddf2.
func TestSumExampleOfTheRFC(t *testing.T) {
	require.Equal(t, uint16(0xddf2), Sum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0))
}

func TestSumExtremes(t *testing.T) {
	ones := make([]byte, 65535)
	for i := range ones {
		ones[i] = 0xff
	}
	require.Equal(t, uint16(0), Sum(nil, 0))
	require.Equal(t, uint16(0), Sum(make([]byte, 1500), 0), "only zeros sum to zero")
	for _, n := range []int{1, 2, 8, 63, 64, 65, 128, 1500, 65535} {
		require.Equal(t, slowSum(ones[:n], 0xffff), Sum(ones[:n], 0xffff), n)
	}
}

// RFC 1624 §4: the example on which equation 2 fails and equation 3 does not.
func TestUpdate16ExampleOfTheRFC(t *testing.T) {
	require.Equal(t, uint16(0x0000), Update16(0xdd2f, 0x5555, 0x3285))
}

func TestUpdatesEqualRecomputation(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 20000 {
		b := make([]byte, 40)
		for i := range b {
			b[i] = byte(r.Uint32() >> r.IntN(8))
		}
		b[39] = 1 // a real header is never all zero, which is the one ambiguous sum
		sum := Checksum(b)
		off := r.IntN(9) * 4
		old, now := binary.BigEndian.Uint32(b[off:]), r.Uint32()
		if r.IntN(4) == 0 {
			now = 0
		}
		binary.BigEndian.PutUint32(b[off:], now)
		want := Checksum(b)
		require.Equal(t, want, Update32(sum, old, now))
		require.Equal(t, want, Update16(Update16(sum, uint16(old>>16), uint16(now>>16)), uint16(old), uint16(now)))
		require.Equal(t, want, UpdateSum(sum, Fold(uint64(old)), Fold(uint64(now))))
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{}, uint16(0))
	f.Add([]byte("an odd number of bytes, more than 64 of them, so that both loops run.."), uint16(0xffff))
	f.Fuzz(func(t *testing.T, b []byte, acc uint16) {
		if got, want := Sum(b, acc), slowSum(b, acc); got != want {
			t.Fatalf("Sum(% x, %#x) = %#x, want %#x", b, acc, got, want)
		}
	})
}

func BenchmarkChecksum(b *testing.B) {
	for _, n := range []int{20, 40, 64, 576, 1460, 9000} {
		b.Run(itoa(n)+"B", func(b *testing.B) {
			buf := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			var s uint16
			for b.Loop() {
				s = Sum(buf, s)
			}
		})
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
