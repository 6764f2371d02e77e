package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// Flow numbers a client's connection, from 0 up to Config.Conns. An App keeps
// what it knows of a connection under this number.
type Flow int32

// Endpoint numbers a server that connections are made to; see Engine.SetEndpoint.
type Endpoint int32

// Addr is one end of a TCP connection.
type Addr struct {
	IP   [16]byte // IPv4 is mapped
	Port uint16
}

// Direction says which way bytes flow.
type Direction uint8

// The directions.
const (
	Request  Direction = iota // client to server
	Response                  // server to client
)

// App decides what the Engine does. Its methods are called from within Process
// and Advance and must not call the Engine, except SetDeadline and Active. Slices they are
// given hold only during the call.
type App interface {
	// Listens reports whether connections to a are for the Engine.
	Listens(a Addr) bool
	// Opened says that a client's connection is established.
	Opened(now sim.Cycle, f Flow, client, local Addr)
	// Request looks at b, the client's bytes from where a request begins. It is
	// called again with more of them for as long as it says Wait.
	Request(now sim.Cycle, f Flow, b []byte) Decision
	// Response looks at b, the server's bytes from where a response begins.
	Response(now sim.Cycle, f Flow, b []byte) Decision
	// Body looks at b, the bytes of a message's body that follow those of the call
	// before, where Framing is Scanned. n of them belong to the body, and so do the skip
	// bytes behind b, which need not be looked at. done says that the body ends after n.
	Body(f Flow, d Direction, b []byte) (n int, skip uint64, done bool, err error)
	// Failed says that there is no server for the request, or no longer. No byte of
	// a response has gone to the client: the request can go elsewhere (Send, with the head
	// as Kept or anew) or be answered.
	Failed(now sim.Cycle, f Flow, why Failure) Decision
	// Due is called at the time that SetDeadline set.
	Due(now sim.Cycle, f Flow) Decision
	// Completed says that the client has acknowledged all of the response, of a request
	// that was not Aborted.
	Completed(now sim.Cycle, f Flow)
	// Aborted says that the exchange under way ended before that.
	Aborted(now sim.Cycle, f Flow, why Failure)
	// Closed says that the client's connection is over.
	Closed(now sim.Cycle, f Flow)
	// Upstream says what became of a connection to endpoint ep.
	Upstream(now sim.Cycle, ep Endpoint, what ConnEvent)
}

// Watcher is an App that wants to know how far its exchanges are.
type Watcher interface {
	// Joined says that the request's connection to its server is there, and asks
	// whether the request may have it. If not, Failed comes next. A request that Request
	// sent to an Endpoint with Idle connections may.
	Joined(now sim.Cycle, f Flow) bool
	// Received says that the request's last byte has come.
	Received(now sim.Cycle, f Flow)
	// Answered says that the response's last byte has come.
	Answered(now sim.Cycle, f Flow)
	// Unasked says that a server of ep said b, behind a response or without a request.
	Unasked(now sim.Cycle, ep Endpoint, b []byte)
}

// Sharer is an App that listens at addresses of others, who have connections there
// already and take those that it does not.
type Sharer interface {
	// Shares reports whether a, which the App listens at, is such an address: of what is
	// of no connection here, only a SYN that there is room for is not let pass.
	Shares(a Addr) bool
}

// Action is what a Decision asks for.
type Action uint8

// The actions.
const (
	Wait    Action = iota // for more bytes
	Send                  // the message on, with another head; a request to Decision.To
	Skip                  // drop Decision.Head bytes of the server's: an interim response
	Reply                 // answer the client with Decision.Out
	Raw                   // join the connection to To for good, every byte as it comes
	Park                  // keep the request until Due sends it again; of a response: if it has no body, Head says how long it is, and its connection stays
	Finish                // end the client's connection, between two exchanges
	Abort                 // reset the client's connection
	Cut                   // end the client's connection behind what it has of the response
	Nothing               // of Due: go on
	Ask                   // of Due: have Request look again at what it said Wait to
)

// Framing says where the body of a message ends.
type Framing uint8

// The framings.
const (
	Length   Framing = iota // after Decision.Body bytes
	Scanned                 // where App.Body says
	ToTheEnd                // of the sender's stream
)

// Decision is what becomes of a message.
type Decision struct {
	Do   Action
	To   Endpoint
	Head int    // bytes of the message that Out stands for
	Out  []byte // the head as its receiver gets it; the Engine copies it
	Body uint64 // with Length
	Framing
	Lookups uint8  // in tables, that it took to decide: a card's time for it is counted in them
	Interim []byte // of a request: what the client is told at once, such as "100 Continue"
	Keep    bool   // hold a request until its response begins: it may be sent again
	Kept    bool   // send the request that was kept, Head, Out and the rest don't count
	Close   bool   // of a response or a reply: the client's connection ends after it
	Bad     bool   // of a response: its server's connection is of no further use
}

// Failure is why an exchange ended early.
type Failure uint8

// The failures.
const (
	Refused      Failure = iota // the server's host said no
	Unreachable                 // no answer to our SYN in time, or nobody has its address: it has got nothing that we know of
	TableFull                   // no room for another connection
	ServerReset                 // by RST
	ServerClosed                // by FIN, before the response was complete
	Unanswered                  // what we sent was not acknowledged in time
	ClientReset
	ClientClosed // Envoy has half-close off: a client that has shut its side has left
	BadMessage   // App.Body or Response returned an error
	Dropped      // by a Decision
	Denied       // by Watcher.Joined
)

// ConnEvent is what became of a connection to an endpoint.
type ConnEvent uint8

// The events. Every connection has one Dialed and one Gone.
const (
	Dialed    ConnEvent = iota
	Connected           // its handshake is over
	Reused              // it carries another request
	Idle                // it went back to its pool
	Gone
	GoneIdle // Gone, by the server, while it was in its pool
	IdleOver // it has been in its pool for as long as it may be, and is closed: Gone comes once its server knows
	Silent   // what was sent on it is not acknowledged in time, and goes out again
	Heard    // its server, to which one was Silent, says something: the first time since
)

// Neighbour is where frames for an address go.
type Neighbour struct {
	MAC  wire.MAC
	Own  wire.MAC // that we have on that port
	Port datapath.Port
}
