package pcap

import (
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Capture is a pcapng file that many ports write to, an interface each, with
// times to the nanosecond.
type Capture struct {
	w     *pcapgo.NgWriter
	start time.Time
}

// NewCapture begins a file, with a comment if that is not empty. Frames' times count from
// start.
func NewCapture(w io.Writer, ports []string, start time.Time, comment string) (*Capture, error) {
	port := func(name string) pcapgo.NgInterface {
		return pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeEthernet, SnapLength: maxFrame, TimestampResolution: 9}
	}
	ng, err := pcapgo.NewNgWriterInterface(w, port(ports[0]), pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "meshnic", Comment: comment}})
	if err != nil {
		return nil, err
	}
	for _, name := range ports[1:] {
		if _, err := ng.AddInterface(port(name)); err != nil {
			return nil, err
		}
	}
	return &Capture{ng, start}, nil
}

// Frame writes one frame.
func (c *Capture) Frame(at time.Duration, port int, data []byte) error {
	return c.w.WritePacket(gopacket.CaptureInfo{
		Timestamp: c.start.Add(at), CaptureLength: len(data), Length: len(data), InterfaceIndex: port,
	}, data)
}

// Close writes what is left. It does not close the file.
func (c *Capture) Close() error { return c.w.Flush() }
