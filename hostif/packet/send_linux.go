package packet

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// sender holds the arguments of sendmmsg, made once.
type sender struct {
	hdrs [batch][hostif.VnetHdrLen]byte
	iovs [batch][2]unix.Iovec
	msgs [batch]unix.Mmsghdr
	lens [batch]int
	n    int
}

func newSender() *sender {
	s := &sender{}
	for i := range s.msgs {
		s.iovs[i][0].Base = &s.hdrs[i][0]
		s.iovs[i][0].SetLen(hostif.VnetHdrLen)
		s.msgs[i].Hdr.Iov = &s.iovs[i][0]
		s.msgs[i].Hdr.SetIovlen(2)
	}
	return s
}

// add puts f into the batch; its bytes are read in flush.
func (s *sender) add(f *hostif.Frame) {
	hostif.PutVnetHdr(s.hdrs[s.n][:], &f.Offload)
	s.iovs[s.n][1].Base = &f.Data[0]
	s.iovs[s.n][1].SetLen(len(f.Data))
	s.lens[s.n] = len(f.Data)
	s.n++
}

// flush transmits the batch and returns how many frames the kernel took. A
// frame that it refuses is counted, and the ones behind it are tried.
func (s *sender) flush(fd int, st *hostif.Stats) int {
	sent := 0
	for at := 0; at < s.n; {
		st.Kicks++
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.msgs[at])),
			uintptr(s.n-at), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			for _, l := range s.lens[at : at+int(n)] {
				st.TxBytes += uint64(l)
			}
			st.TxFrames += uint64(n)
			sent += int(n)
			at += int(n) // fewer than asked: the next call meets the error
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
			st.TxDropFull++
			at++
		default: // EMSGSIZE, EINVAL, ENETDOWN, ENXIO: this frame, or all for now
			st.TxDropError++
			at++
		}
	}
	for i := range s.n {
		s.iovs[i][1].Base = nil // keep no reference to the caller's frames
	}
	s.n = 0
	return sent
}
