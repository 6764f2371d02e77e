// Package http1 reads HTTP/1.1 message heads and follows message bodies, byte
// slice by byte slice, without copying, without allocating and without I/O, so
// that a proxy over sockets and a NIC over segments can share it.
//
//	Head  one message head, parsed in place; its fields point into the caller's buffer
//	Body  where a message body ends: Content-Length, chunked, or the end of the stream
//
// It is strict where being lenient lets two parties disagree on where a message
// ends (RFC 9112 §6.3 and §11): Content-Length together with Transfer-Encoding,
// more than one of either, a transfer coding other than chunked, and white space
// before a field's colon are all refused. Where leniency is harmless it is as
// lenient as Envoy 1.40: a bare LF ends a line, empty lines before a request are
// skipped, runs of spaces separate the words of the first line, and folded field
// values are unfolded when they are written out.
package http1
