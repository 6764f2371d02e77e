package nictest

import "time"

// Conversation is HTTP/1.1 between clients and servers, as plain data: who says
// what when, over which cables. Its bytes follow from it alone.
type Conversation struct {
	Seed        uint64 // of faults and of what the stacks draw
	Clients     []HostConfig
	Servers     []HostConfig
	Connections []Connection
}

// Connection is what one connection is for.
type Connection struct {
	At        time.Duration // when it is opened
	Client    int           // index of Clients
	Server    int           // index of Servers
	Exchanges []Exchange
	End       End
	EndAfter  time.Duration // since it was opened, for EndReset and EndAbort
	Idle      time.Duration // the server ends a connection without requests after; 0: 5 min
	Reading   Reading       // the client's
	Serving   Reading       // the server's
}

// End is how the client ends a connection. Whatever it wanted, when the server has
// ended its stream it closes.
type End uint8

// The ends.
const (
	EndAnswered  End = iota // FIN after the last response, reads on, closes
	EndHalfClose            // FIN right behind the last request, reads on, closes
	EndClose                // close(2) right after the last response
	EndServer               // the server ends
	EndReset                // RST after EndAfter, whatever is under way
	EndAbort                // close(2) after EndAfter
)

var endNames = [...]string{"answered", "half-close", "close", "server", "reset", "abort"}

func (e End) String() string { return endNames[e] }

// Reading is how an end reads. The zero value takes all there is at once.
type Reading struct {
	Buffer int           // receive buffer, bytes; 0: the host's
	Size   int           // bytes to a read; 0: 64 KiB
	Every  time.Duration // between two reads
}

// Exchange is a request and its response. The request's target names both its
// connection and itself, so that a server anywhere knows what to say.
type Exchange struct {
	Method    string        // "": GET
	Body      int           // bytes
	Chunked   bool          // instead of Content-Length
	Expect    bool          // the body waits for 100 (Continue)
	Padding   int           // bytes of a header that makes the head longer
	Pieces    int           // writes that the request is cut into; 0: 1
	Gap       time.Duration // between them
	Pipelined bool          // doesn't wait for the responses before
	Think     time.Duration // before it is sent
	Answer    Answer
}

// Answer is a response.
type Answer struct {
	Status  int // 0: 200
	Framing Framing
	Body    int           // bytes; of a HEAD, 204 or 304 only its length is told
	Padding int           // bytes of a header that makes the head longer
	Interim int           // responses 103 before it
	Early   bool          // sent when the request's head is in, not its body
	Delay   time.Duration // after the request was in
	Pieces  int           // writes that it is cut into; 0: 1
	Gap     time.Duration // between them
	Close   bool          // Connection: close, and FIN right behind it
	Reset   int           // RST after so many bytes of it, at most all; 0: none
}

// Framing is how a response's body ends.
type Framing uint8

// The framings.
const (
	Length     Framing = iota // Content-Length
	Chunked                   // Transfer-Encoding: chunked
	UntilClose                // with the stream
)

var framingNames = [...]string{"length", "chunked", "until close"}

func (f Framing) String() string { return framingNames[f] }

const (
	// defaultIdle is how long a server waits for a request.
	defaultIdle = 5 * time.Minute
	// patience is how long an end waits for anything at all before it resets.
	patience = 15 * time.Minute
	// racy is an idle time within which a request may come too late because it was
	// lost: six times in a row take 63 s (1 s doubled, RFC 6298 §2.1, §5.5).
	racy = 2 * time.Minute
)

func (e *Exchange) method() string {
	if e.Method == "" {
		return "GET"
	}
	return e.Method
}

func (a *Answer) status() int {
	if a.Status == 0 {
		return 200
	}
	return a.Status
}

// closes reports whether the server ends the connection behind a.
func (a *Answer) closes() bool { return a.Close || a.Framing == UntilClose || a.Reset > 0 }

// bodyless reports whether the response has no body whatever its head says
// (RFC 9112 §6.3).
func (e *Exchange) bodyless() bool {
	s := e.Answer.status()
	return e.method() == "HEAD" || s == 204 || s == 304
}

// Abrupt reports whether bytes may be lost without anyone's fault: an end resets,
// closes at a time or idles out when the other may just be sending. What arrives
// then is a beginning of what was sent.
func (c *Connection) Abrupt() bool {
	if c.End == EndReset || c.End == EndAbort || c.Idle > 0 && c.Idle < racy {
		return true
	}
	for i := range c.Exchanges {
		e := &c.Exchanges[i]
		// close(2) while the request is still being sent: what the server says
		// afterwards, its FIN included, is answered by RST.
		if e.Answer.Reset > 0 || c.End == EndClose && e.Answer.Early && e.Body > 0 {
			return true
		}
	}
	return false
}

// answered returns how many of the exchanges get a response.
func (c *Connection) answered() int {
	for i := range c.Exchanges {
		if c.Exchanges[i].Answer.closes() {
			return i + 1
		}
	}
	return len(c.Exchanges)
}
