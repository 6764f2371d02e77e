package splice

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/wire"
)

// Odd constants with as many ones as zeros, from the fraction of the golden ratio and of
// the square root of 3.
const (
	mixA = 0x9e3779b97f4a7c15
	mixB = 0xbb67ae8584caa73b
)

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// isn chooses an initial sequence number (RFC 6528): one per 4 us, and for each
// pair of addresses another offset that nobody can guess.
func (e *Engine) isn(remote, local *Addr) wire.Seq {
	return wire.Seq(uint64(e.now)*250/(e.perMS)) + wire.Seq(mix(e.t.hash(remote, local), e.secret))
}

// cookie is the ISN of a SYN,ACK that nothing is remembered of: the mss of the
// client in two bits, and a check over the addresses, the client's ISN and the minute.
func (e *Engine) cookie(remote, local *Addr, irs wire.Seq, minute uint64, class uint32) wire.Seq {
	h := mix(e.t.hash(remote, local)^uint64(irs)<<32, e.secret^minute*mixA^uint64(class))
	return wire.Seq(uint32(h)&^3 | class)
}

// cookieMSS are the classes of a cookie, in bytes; Linux's msstab for IPv4.
var cookieMSS = [4]uint16{536, 1300, 1440, 1460}

func cookieClass(mss uint16) (class uint32) {
	for i, m := range cookieMSS {
		if mss >= m {
			class = uint32(i)
		}
	}
	return class
}

func (e *Engine) minute() uint64 { return e.msNow / 60_000 }

// cookieOf returns the MSS that an acknowledged cookie stands for.
func (e *Engine) cookieOf(remote, local *Addr, irs, iss wire.Seq) (mss uint16, ok bool) {
	class := uint32(iss) & 3
	for _, m := range [2]uint64{e.minute(), e.minute() - 1} {
		if e.cookie(remote, local, irs, m, class) == iss {
			return cookieMSS[class], true
		}
	}
	return 0, false
}
