package wire

// After reports whether s follows t.
func (s Seq) After(t Seq) bool { return int32(s-t) > 0 }

// AtOrBefore reports whether s is t or precedes it.
func (s Seq) AtOrBefore(t Seq) bool { return int32(s-t) <= 0 }

// AtOrAfter reports whether s is t or follows it.
func (s Seq) AtOrAfter(t Seq) bool { return int32(s-t) >= 0 }

// Add returns the sequence number n bytes on.
func (s Seq) Add(n uint32) Seq { return s + Seq(n) }

// Distance returns how many bytes lie from s to t, negative if t precedes s.
func (s Seq) Distance(t Seq) int { return int(int32(t - s)) }

// InWindow reports whether s lies in the size bytes that begin with start.
func (s Seq) InWindow(start Seq, size uint32) bool { return uint32(s-start) < size }

// Max returns the later of s and t.
func (s Seq) Max(t Seq) Seq {
	if s.Before(t) {
		return t
	}
	return s
}

// Min returns the earlier of s and t.
func (s Seq) Min(t Seq) Seq {
	if s.Before(t) {
		return s
	}
	return t
}
