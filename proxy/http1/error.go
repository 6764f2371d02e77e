package http1

// Error is what is wrong with a message. It is a small integer, so that
// returning one costs no allocation.
type Error uint8

// The mistakes a message can contain.
const (
	ErrStartLine        Error = iota + 1 // the first line is not three words
	ErrMethod                            // unknown method (Envoy's list)
	ErrTarget                            // request target of a form that is not allowed
	ErrTargetByte                        // or with a control character
	ErrURL                               // an absolute target, or CONNECT's, without a host; * of another method than OPTIONS
	ErrScheme                            // an absolute target of another scheme than http and https
	ErrFragment                          // request target with a fragment
	ErrVersion                           // not "HTTP/" digit "." digit
	ErrUpgradeRequired                   // a version other than HTTP/1.1
	ErrStatus                            // status code that is not three digits
	ErrFieldName                         // field name that is not a token, or a line without a colon
	ErrFieldValue                        // control character in a field value
	ErrFold                              // a folded line with nothing before it
	ErrHeadTooLarge                      // head longer than the limit
	ErrTooManyFields                     // more fields than the limit
	ErrContentLength                     // not one run of digits, or more than one
	ErrTransferEncoding                  // anything but a single "chunked"
	ErrLengthAndChunked                  // Content-Length and Transfer-Encoding together
	ErrNoHost                            // neither Host nor an absolute target
	ErrHost                              // Host with a byte that is not allowed, or more than one
	ErrNominated                         // Connection names a field that must not be removed
	ErrBodyNotAllowed                    // 204 with a body
	ErrChunkSize                         // chunk size that is not hexadecimal, or too big
	ErrChunk                             // chunk not framed by CRLF
	ErrTrailer                           // malformed or oversized trailer section
)

var errorText = [...]string{
	ErrStartLine:        "malformed first line",
	ErrMethod:           "unknown method",
	ErrTarget:           "malformed request target",
	ErrTargetByte:       "control character in the request target",
	ErrURL:              "request target without a valid host",
	ErrScheme:           "request target of another scheme than http and https",
	ErrFragment:         "request target with a fragment",
	ErrVersion:          "malformed protocol version",
	ErrUpgradeRequired:  "protocol version other than HTTP/1.1",
	ErrStatus:           "malformed status code",
	ErrFieldName:        "malformed field name",
	ErrFieldValue:       "control character in a field value",
	ErrFold:             "folded line without a field",
	ErrHeadTooLarge:     "head too large",
	ErrTooManyFields:    "too many fields",
	ErrContentLength:    "malformed or repeated Content-Length",
	ErrTransferEncoding: "transfer coding other than chunked",
	ErrLengthAndChunked: "Content-Length together with Transfer-Encoding",
	ErrNoHost:           "no Host",
	ErrHost:             "malformed or repeated Host",
	ErrNominated:        "Connection names a field that must stay",
	ErrBodyNotAllowed:   "body where none is allowed",
	ErrChunkSize:        "malformed chunk size",
	ErrChunk:            "malformed chunk",
	ErrTrailer:          "malformed trailer",
}

// Error returns "http1: " and what is wrong.
func (e Error) Error() string {
	if int(e) < len(errorText) && e != 0 {
		return "http1: " + errorText[e]
	}
	return "http1: unknown error"
}

// Status returns the status code that Envoy 1.40 answers a request with this
// mistake with.
func (e Error) Status() int {
	switch e {
	case ErrUpgradeRequired:
		return 426
	case ErrHeadTooLarge, ErrTooManyFields:
		return 431
	case ErrTransferEncoding:
		return 501
	}
	return 400
}
