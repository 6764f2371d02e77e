package mesh

import (
	"encoding/binary"
	"math/rand/v2"
)

// RequestIDs makes x-request-id values: random UUIDs of version 4 from a seed.
type RequestIDs struct{ src *rand.ChaCha8 }

// NewRequestIDs returns a source that gives the same IDs for the same seed.
func NewRequestIDs(seed [32]byte) *RequestIDs {
	return &RequestIDs{src: rand.NewChaCha8(seed)}
}

// requestIDLen is the length of a UUID's text.
const requestIDLen = 36

// Append appends the text of a new UUID.
func (r *RequestIDs) Append(dst []byte) []byte {
	var id [16]byte
	binary.LittleEndian.PutUint64(id[:], r.src.Uint64())
	binary.LittleEndian.PutUint64(id[8:], r.src.Uint64())
	id[6] = id[6]&0x0f | 0x40 // RFC 9562 §5.4
	id[8] = id[8]&0x3f | 0x80
	const digits = "0123456789abcdef"
	var text [requestIDLen]byte
	j := 0
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text[j] = '-'
			j++
		}
		text[j], text[j+1] = digits[b>>4], digits[b&15]
		j += 2
	}
	return append(dst, text[:]...)
}
