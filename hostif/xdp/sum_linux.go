package xdp

// finishSum finishes the L4 checksum of a received frame, if this link does so.
func (l *Link) finishSum(b []byte) {
	if l.finish {
		finishSum(b)
	}
}

func finishSum(b []byte) {}
