package mesh

// TLSCounters count a listener's or a cluster's handshakes.
type TLSCounters struct {
	Handshake, ConnectionError, SessionReused, NoCertificate uint64
	FailVerifyNoCert, FailVerifyError, FailVerifySAN         uint64

	names map[string]uint64 // of what was agreed upon: "ciphers.X", "versions.X", "curves.X"
}

// Agreed counts a handshake that came to the named cipher, version and curve.
func (c *TLSCounters) Agreed(cipher, version, curve string) {
	c.Handshake++
	if c.names == nil {
		c.names = map[string]uint64{}
	}
	c.names["ciphers."+cipher]++
	c.names["versions."+version]++
	if curve != "" {
		c.names["curves."+curve]++
	}
}

// Stats appends c's counters under Envoy's names; prefix is what stands before
// "ssl.".
func (c *TLSCounters) Stats(dst []Stat, prefix string) []Stat {
	p := prefix + "ssl."
	dst = append(dst,
		Stat{p + "handshake", c.Handshake, false},
		Stat{p + "connection_error", c.ConnectionError, false},
		Stat{p + "session_reused", c.SessionReused, false},
		Stat{p + "no_certificate", c.NoCertificate, false},
		Stat{p + "fail_verify_no_cert", c.FailVerifyNoCert, false},
		Stat{p + "fail_verify_error", c.FailVerifyError, false},
		Stat{p + "fail_verify_san", c.FailVerifySAN, false},
	)
	for name, n := range c.names {
		dst = append(dst, Stat{p + name, n, false})
	}
	return dst
}
