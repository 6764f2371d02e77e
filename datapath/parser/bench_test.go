package parser_test

import (
	"testing"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
)

func BenchmarkParse(b *testing.B) {
	payload := string(make([]byte, 1400))
	for _, bb := range []struct {
		name   string
		verify bool
		frame  Frame
	}{
		{"IPv4TCP", false, Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "A").Pad(60)},
		{"IPv4TCPTimestamps", false, Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "A", TS(1, 2))},
		{"VLANIPv4UDP", false, Eth().VLAN(5).IPv4("10.0.0.1", "10.0.0.2").UDP(4000, 53)},
		{"IPv6TCP", false, Eth().IPv6("2001:db8::1", "2001:db8::2").TCP(4000, 80, "A")},
		{"IPv4TCPVerified", true, Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "A").Pad(60)},
		{"IPv6TCPVerified", true, Eth().IPv6("2001:db8::1", "2001:db8::2").TCP(4000, 80, "A")},
		{"IPv4TCP1454BVerified", true, Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "A").Payload(payload)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			x := parser.New(parser.Config{VerifyChecksums: bb.verify})
			p := &datapath.Packet{Data: bb.frame}
			b.ReportAllocs()
			for b.Loop() {
				if x.Process(0, p) != datapath.Continue {
					b.Fatal(p.Reason)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/frame")
		})
	}
}
