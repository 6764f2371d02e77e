package main

import (
	"bufio"
	"cmp"
	"errors"
	"os"
	"time"

	"github.com/meshnic/meshnic/hostif/attach"
	"github.com/meshnic/meshnic/hostif/pcap"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
)

// capture is the file of --capture. Once it cannot be written to it is given up, and not the
// traffic.
type capture struct {
	*pcap.Capture
	path     string
	file     *os.File
	buffered *bufio.Writer
	log      func(string, ...any)
	failed   error
}

// openCapture makes the capture file.
func openCapture(path string, specs []attach.PortSpec, origin *nic.Origin, log func(string, ...any)) (*capture, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, &failure.Error{Kind: failure.Usage, What: "capture " + path, Err: err, Next: "name a file in a folder that can be written to"}
	}
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
	}
	start, comment := time.Now(), ""
	if origin != nil { // so that a replay has the proxy do the same
		start, comment = origin.Start, origin.String()
		names = append(names, nic.OwnFrames)
	}
	c := &capture{path: path, file: file, buffered: bufio.NewWriterSize(file, 1<<20), log: log}
	if c.Capture, err = pcap.NewCapture(c.buffered, names, start, comment); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return c, nil
}

// Frame writes one frame.
func (c *capture) Frame(at time.Duration, port int, data []byte) error {
	if c.failed != nil {
		return nil
	}
	if c.failed = c.Capture.Frame(at, port, data); c.failed != nil {
		c.log("%v: the capture ends here, the traffic goes on", c.failed)
	}
	return nil
}

// close writes what is left. A capture that is not whole is an error, also of a NIC that has
// carried everything.
func (c *capture) close() error {
	failed := cmp.Or(c.failed, c.Close(), c.buffered.Flush(), c.file.Close())
	if failed == nil {
		return nil
	}
	return failure.Wrap(failure.Unexpected, failed, "capture "+c.path, "its end is missing: make room, or name a file elsewhere")
}
