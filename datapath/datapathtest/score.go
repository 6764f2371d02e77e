package datapathtest

import (
	"fmt"
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
)

// due is what must leave for one frame.
type due struct {
	sim.Frame
	out  Frame    // bytes
	why  sim.Loss // if it is to be dropped
	left bool
}

// score holds what leaves on a wire to what is due.
type score struct {
	frames []due
	drops  []Dropped
	may    []sim.Loss // for which any frame may be lost
	routes bool       // tdest may change
	tail   bool       // lengths change at the end
	width  int

	next int  // in frames: the first that may still leave
	cur  *due // the frame that is leaving
	got  int  // bytes of it that have left
	off  int32
}

// drop returns why a frame was dropped.
func (s *score) drop(frame uint32) (why sim.Loss, times int) {
	for _, d := range s.drops {
		if d.Frame == frame {
			why = d.Why
			times++
		}
	}
	return why, times
}

// losses checks the drops themselves.
func (s *score) losses() (at sim.Picos, what string) {
	for _, d := range s.drops {
		i := int(d.Frame) - 1
		if i < 0 || i >= len(s.frames) {
			return d.At, fmt.Sprintf("a drop of frame %d, which never came", d.Frame)
		}
		f := &s.frames[i]
		_, times := s.drop(d.Frame)
		switch {
		case times > 1:
			return d.At, fmt.Sprintf("frame %d is counted as dropped %d times", d.Frame, times)
		case slices.Contains(s.may, d.Why):
		case f.why == sim.LossNone:
			return d.At, fmt.Sprintf("frame %d (%d bytes) is dropped (%s), it should leave", d.Frame, f.Bytes, d.Why)
		case f.why != d.Why:
			return d.At, fmt.Sprintf("frame %d is dropped for %s, want %s", d.Frame, d.Why, f.why)
		}
	}
	return 0, ""
}

// begin finds the frame of a first beat.
func (s *score) begin(b *sim.Beat) string {
	i := int(b.Frame) - 1
	switch {
	case i < 0 || i >= len(s.frames):
		return fmt.Sprintf("frame %d leaves, which never came", b.Frame)
	case !b.First && s.frames[i].left:
		return fmt.Sprintf("bytes from %d on of frame %d come after its tlast", b.Off, b.Frame)
	case !b.First && b.Off > 0:
		return fmt.Sprintf("frame %d begins with byte %d: its first beat is lost", b.Frame, b.Off)
	case s.frames[i].left:
		return fmt.Sprintf("frame %d leaves twice", b.Frame)
	}
	f := &s.frames[i]
	if why, times := s.drop(b.Frame); times > 0 {
		return fmt.Sprintf("frame %d leaves although it was counted as dropped (%s)", b.Frame, why)
	}
	if f.why != sim.LossNone {
		return fmt.Sprintf("frame %d leaves, it should be dropped (%s)", b.Frame, f.why)
	}
	for k := s.next; k < i; k++ {
		if _, times := s.drop(uint32(k + 1)); times == 0 && !s.frames[k].left {
			return fmt.Sprintf("frame %d leaves before frame %d: frames are reordered, or frame %d is lost without a count", b.Frame, k+1, k+1)
		}
	}
	s.next, s.cur, s.got = i+1, f, 0
	s.off = int32(f.Bytes - len(f.out))
	if s.tail {
		s.off = 0
	}
	return ""
}

// beat takes the next beat that left and says what is wrong with it, or "".
func (s *score) beat(b *sim.Beat) string {
	if s.cur == nil {
		if what := s.begin(b); what != "" {
			return what
		}
	}
	f := s.cur
	want := len(f.out) - s.got
	switch {
	case b.Frame != f.ID:
		return fmt.Sprintf("a beat of frame %d inside frame %d, of which %d bytes are to come", b.Frame, f.ID, want)
	case b.First != (s.got == 0):
		return fmt.Sprintf("frame %d: First is %t on the beat of byte %d", f.ID, b.First, b.Off)
	case b.First && b.Off < s.off:
		return fmt.Sprintf("frame %d begins with byte %d, want %d%s", f.ID, b.Off, s.off, header(f))
	case b.First && b.Off > s.off:
		return fmt.Sprintf("frame %d begins with byte %d, want %d", f.ID, b.Off, s.off)
	case b.Off > s.off:
		return fmt.Sprintf("frame %d: bytes %d to %d are lost", f.ID, s.off, b.Off-1)
	case b.Off < s.off:
		return fmt.Sprintf("frame %d: bytes from %d on come again, %d was next", f.ID, b.Off, s.off)
	case b.Bytes == 0 || int(b.Bytes) > s.width:
		return fmt.Sprintf("frame %d: a beat of %d bytes on a bus of %d", f.ID, b.Bytes, s.width)
	case int(b.Bytes) > want:
		return fmt.Sprintf("frame %d: more than the %d bytes that should leave (%d came in)%s", f.ID, len(f.out), f.Bytes, header(f))
	case b.Last && int(b.Bytes) < want:
		return fmt.Sprintf("frame %d: tlast after %d of %d bytes", f.ID, s.got+int(b.Bytes), len(f.out))
	case !b.Last && int(b.Bytes) == want:
		return fmt.Sprintf("frame %d: no tlast on its last byte, the %dth%s", f.ID, len(f.out), header(f))
	case !b.Last && int(b.Bytes) < s.width:
		return fmt.Sprintf("frame %d: %d of %d bytes in a beat that is not the last", f.ID, b.Bytes, s.width)
	case int(b.Left) != want:
		return fmt.Sprintf("frame %d: Left is %d at byte %d, want %d", f.ID, b.Left, b.Off, want)
	case b.Bad != (b.Last && f.Bad):
		return fmt.Sprintf("frame %d: tuser is %t, want %t", f.ID, b.Bad, b.Last && f.Bad)
	case b.Dest != f.Dest && !s.routes:
		return fmt.Sprintf("frame %d: tdest is %d, it came with %d", f.ID, b.Dest, f.Dest)
	}
	s.got += int(b.Bytes)
	if s.off += int32(b.Bytes); b.Last {
		f.left, s.cur = true, nil
	}
	return ""
}

// header hints at a header that should have been taken off.
func header(f *due) string {
	if n := f.Bytes - len(f.out); n > 0 {
		return fmt.Sprintf(": the %d bytes that should be taken off leave with it", n)
	}
	return ""
}

// rest says which frame has neither left nor been dropped, or "".
func (s *score) rest() string {
	for i := range s.frames {
		f := &s.frames[i]
		_, times := s.drop(f.ID)
		switch {
		case f.left || times > 0:
		case f.why != sim.LossNone:
			return fmt.Sprintf("frame %d (%d bytes) is gone without being counted as dropped (%s)", f.ID, f.Bytes, f.why)
		case s.cur == f:
			return fmt.Sprintf("frame %d (%d bytes): %d of %d bytes have left, the rest never does", f.ID, f.Bytes, s.got, len(f.out))
		default:
			return fmt.Sprintf("frame %d (%d bytes) never leaves, and no drop is counted", f.ID, f.Bytes)
		}
	}
	return ""
}
