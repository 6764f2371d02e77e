package load

import (
	"bytes"
)

// ask is what the null server reads of a request.
type ask struct {
	bad    int  // 4xx: the request is refused and the connection closed; 0 otherwise
	close  bool // the answer is the last
	http10 bool
	head   bool  // HEAD: no body in the answer
	skip   int64 // bytes of request body that follow
}

// readAsk reads one request head. n is its length, 0 if it is not complete.
func readAsk(b []byte) (a ask, n int) {
	i := bytes.Index(b, crlfcrlf)
	if i < 0 {
		if len(b) >= maxHead {
			return ask{bad: 431, close: true}, len(b)
		}
		return ask{}, 0
	}
	n = i + 4
	line, rest, _ := bytes.Cut(b[:i+2], crlf)
	method, target, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(target, []byte(" "))
	if !ok || !ok2 || len(target) == 0 || len(version) != 8 || string(version[:7]) != "HTTP/1." {
		return ask{bad: 400, close: true}, n
	}
	a.http10 = version[7] == '0'
	f := fields{length: -1, close: a.http10}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, crlf)
		if f.add(line) != nil {
			return ask{bad: 400, close: true}, n
		}
	}
	a.head = string(method) == "HEAD"
	switch {
	case !a.head && string(method) != "GET":
		return ask{bad: 405, close: true}, n
	case f.chunked:
		return ask{bad: 411, close: true}, n
	}
	a.close, a.skip = f.close, max(0, f.length)
	return a, n
}
