package corundum_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/corundum"
)

func TestSum(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame []byte
		start int
		want  uint16
	}{
		{"nothing", nil, 14, 0},
		{"start beyond the end", []byte{1, 2}, 14, 0},
		{"RFC 1071 §3", []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0, 0xddf2},
		{"odd length", []byte{0x12, 0x34, 0x56}, 0, 0x6834},
		{"odd start is a low half", []byte{0x12, 0x34, 0x56}, 1, 0x5634},
		{"all ones stay all ones", []byte{0xff, 0xff, 0xff, 0xff}, 0, 0xffff},
		{"the Ethernet header does not count", append(make([]byte, 12), 0xff, 0xff, 0x45, 0x00), 14, 0x4500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, corundum.Sum(tt.frame, tt.start))
		})
	}
}

// The RTL adds a word of the bus at a time and folds after each.
func TestSumAsTheHardwareAdds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		frame, start := make([]byte, r.IntN(300)), r.IntN(40)
		for i := range frame {
			frame[i] = byte(r.Uint32())
		}
		for _, width := range []int{4, 8, 32, 64} {
			acc := uint64(0)
			for off := 0; off < len(frame); off += width {
				for i := off; i < min(off+width, len(frame)); i++ {
					if i >= start {
						acc += uint64(frame[i]) << (8 * (1 - i&1))
					}
				}
				acc = acc&0xffff + acc>>16
				acc = acc&0xffff + acc>>16
			}
			require.Equal(t, uint16(acc), corundum.Sum(frame, start), "%d bytes from %d, %d wide", len(frame), start, width)
		}
	}
}

func TestInsert(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		frame := make([]byte, 20+r.IntN(300))
		for i := range frame {
			frame[i] = byte(r.Uint32())
		}
		start := r.IntN(10)
		offset := start + 2*r.IntN(4)
		frame[offset], frame[offset+1] = 0, 0
		corundum.Insert(frame, start, offset)
		require.Equal(t, uint16(0xffff), corundum.Sum(frame[start:], 0), "%d bytes, start %d, offset %d", len(frame), start, offset)
	}
}
