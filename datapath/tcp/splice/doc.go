// Package splice carries HTTP requests between TCP connections that it answers
// itself, without a TCP stack: it holds no payload but message heads and what of a body
// comes before there is a connection for it, and keeps no congestion state. What the two
// hosts say to each other is rewritten, segment by segment, and they acknowledge and
// retransmit end to end.
//
//	client                       Engine                      server
//	  | ---- SYN ----------------> |                           |
//	  | <--- SYN,ACK ------------- |   a pooled connection,    |
//	  | ---- ACK, head ----------> |   or a new one            |
//	  |                            | App.Request: to whom, and how the head reads there
//	  |                            | ---- head' + body ------> |
//	  |                            | <--- head + body, ACK --- |
//	  | <--- head' + body, ACK --- | App.Response: how the head reads here
//	  | ---- ACK ----------------> | ---- ACK ---------------> |
//
// An exchange is one request with its response. Each of the two is a message: a
// head, of which the receiver gets another one in its place, and a body, which
// only gets other sequence numbers. A head that was written is held until its
// receiver has acknowledged it; whoever sends the head again has the held one
// sent again, so that a retransmission has the same bytes. It goes as far as its receiver's
// window does; what all connections gather is bounded, and what is beyond that is left to
// be sent again. A byte of a message
// is acknowledged to its sender only when its receiver has it. The exceptions are
// the segments of a head before its last, without whose acknowledgement its sender
// might not send the rest, what waits here for the exchange before it and is sent again,
// and requests that are answered here.
//
// An exchange is over when the client has acknowledged the whole response and the
// server the whole request. Only then is the next request of the client looked
// at, which may go to another server, and may the connection to the server carry
// another client's request.
//
// Where messages end and what becomes of them is not this package's business:
// see App. Nor are neighbours, pools' limits or retries: an endpoint is a number
// that the App chose, with an address that it set.
//
// Timestamps (RFC 7323) and selective acknowledgements (RFC 2018) are negotiated
// on both sides and translated. Segments with an 802.1Q tag and IP fragments are
// not taken.
//
// Read engine.go, then along the way of a segment: accept.go (a client's SYN),
// client.go and server.go (what comes from either), request.go and response.go (heads),
// translate.go and pass.go (what goes on), exchange.go and close.go (how it ends).
package splice
