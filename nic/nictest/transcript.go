package nictest

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshnic/meshnic/datapath/wire"
)

// String tells what is to be said, a line a host, connection and exchange. What has
// its usual value is left out.
func (c *Conversation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n", c.Seed)
	for i, h := range c.Clients {
		fmt.Fprintf(&b, "port %d  client %d%s\n", i, i, h.text())
	}
	for i, h := range c.Servers {
		fmt.Fprintf(&b, "port %d  server %d%s\n", len(c.Clients)+i, i, h.text())
	}
	for i := range c.Connections {
		k := &c.Connections[i]
		fmt.Fprintf(&b, "connection %d  client %d > server %d, end %v%s\n", i, k.Client, k.Server, k.End, told(
			"at", k.At, "after", k.EndAfter, "idle", k.Idle, "reading", k.Reading, "serving", k.Serving))
		for n := range k.Exchanges {
			e := &k.Exchanges[n]
			a := &e.Answer
			fmt.Fprintf(&b, "  %s /%d/%d%s\n    %d %v%s\n", e.method(), i, n, told(
				"body", e.Body, "chunked", e.Chunked, "expect", e.Expect, "padding", e.Padding, "pieces", e.Pieces,
				"gap", e.Gap, "pipelined", e.Pipelined, "think", e.Think),
				a.status(), a.Framing, told("body", a.Body, "padding", a.Padding, "interim", a.Interim, "early", a.Early,
					"delay", a.Delay, "pieces", a.Pieces, "gap", a.Gap, "close", a.Close, "reset", a.Reset))
		}
	}
	return b.String()
}

// told lists names and values, without zeros.
func told(list ...any) string {
	var b strings.Builder
	for i := 0; i < len(list); i += 2 {
		switch v := list[i+1].(type) {
		case bool:
			if v {
				fmt.Fprintf(&b, ", %s", list[i])
			}
		case Reading:
			if v != (Reading{}) {
				fmt.Fprintf(&b, ", %s %d bytes every %v into %d", list[i], v.Size, v.Every, v.Buffer)
			}
		default:
			if s := fmt.Sprint(v); s != "0" && s != "0s" {
				fmt.Fprintf(&b, ", %s %s", list[i], s)
			}
		}
	}
	return b.String()
}

func (h *HostConfig) text() string {
	s := told("MTU", h.MTU, "no SACK", h.NoSACK, "no timestamps", h.NoTimestamps, "no window scale", h.NoWindowScale,
		"buffer", h.ReceiveBuffer, "ARP", h.ARP)
	for _, c := range []struct {
		name string
		Cable
	}{{"out", h.Out}, {"in", h.In}} {
		if c.Cable != (Cable{}) {
			s += "; " + c.name + strings.TrimPrefix(told("latency", c.Latency, "loss", c.Loss, "duplicate", c.Duplicate,
				"reorder", c.Reorder, "by", c.ReorderBy, "corrupt", c.Corrupt, "stall", c.Stall, "by", c.StallBy,
				"split", c.Split, "coalesce", c.Coalesce, "super", c.Super), ",")
		}
	}
	return s
}

// Transcript holds a conversation once more and tells it: what was to be said, every
// frame, and what Check finds.
func Transcript(c *Conversation, s Setup) string {
	var b strings.Builder
	b.WriteString(c.String())
	isn := map[string]wire.Seq{}
	trace := s.Trace
	s.Trace = func(at time.Duration, cable string, frame []byte, note string) {
		fmt.Fprintf(&b, "%12s %s %s %s\n", at, cable, Describe(frame, isn), note)
		if trace != nil {
			trace(at, cable, frame, note)
		}
	}
	r, err := Run(c, s)
	if err == nil {
		err = r.Check(s.View)
	}
	fmt.Fprintf(&b, "%v\n", err)
	return b.String()
}

// Describe tells a frame in a line. With isn, which it fills, sequence numbers
// count from the first one seen of a flow's direction.
func Describe(frame []byte, isn map[string]wire.Seq) string {
	src, dst, t, ok := tcpOf(frame)
	if !ok {
		e := wire.Ethernet(frame)
		if !e.Valid() {
			return fmt.Sprintf("%d bytes", len(frame))
		}
		if a := wire.ARP(e.Payload()); e.Type() == wire.TypeARP && a.Valid() && a.IsIPv4() {
			return fmt.Sprintf("ARP %d %s > %s", a.Op(), dotted(a.SenderIP()), dotted(a.TargetIP()))
		}
		return fmt.Sprintf("%v > %v type %04x, %d bytes", e.Src(), e.Dst(), e.Type(), len(frame))
	}
	from := fmt.Sprintf("%s:%d", wire.FormatIP(src), t.SrcPort())
	to := fmt.Sprintf("%s:%d", wire.FormatIP(dst), t.DstPort())
	seq, ack := t.Seq(), t.Ack()
	if isn != nil {
		if _, ok := isn[from+to]; !ok || t.Flags().Has(wire.SYN) {
			isn[from+to] = seq
		}
		seq -= isn[from+to]
		ack -= isn[to+from]
	}
	s := fmt.Sprintf("%s > %s %v seq %d", from, to, t.Flags(), seq)
	if t.Flags().Has(wire.ACK) {
		s += fmt.Sprintf(" ack %d", ack)
	}
	s += fmt.Sprintf(" win %d", t.Window())
	if n := len(t.Payload()); n > 0 {
		s += fmt.Sprintf(" len %d %s", n, excerpt(t.Payload(), 0))
	}
	var o wire.TCPOption
	for it := wire.TCPOptions(t.Options()); it.Next(&o); {
		switch o.Kind {
		case wire.OptTimestamps: // on every segment: noise
		case wire.OptMSS, wire.OptWindowScale, wire.OptSACKPermitted, wire.OptSACK:
			s += fmt.Sprintf(" %s %x", map[wire.TCPOptionKind]string{
				wire.OptMSS: "mss", wire.OptWindowScale: "scale", wire.OptSACKPermitted: "sackok", wire.OptSACK: "sack"}[o.Kind], o.Data)
		}
	}
	return s
}

func dotted(a [4]byte) string { return wire.FormatIP(wire.MapIPv4(a)) }
