package http1_test

import (
	"fmt"

	"github.com/meshnic/meshnic/proxy/http1"
)

func ExampleHead() {
	stream := []byte("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nokGET /next")
	var h http1.Head
	h.Reset(false)
	n, err := h.Parse(stream)
	if err != nil {
		fmt.Println(err)
		return
	}
	body := h.Body(false)
	m, done, _ := body.Advance(stream[n:])
	fmt.Printf("%s %q, body %q, done %v\n", h.Bytes(h.Path), h.Bytes(h.Authority), stream[n:n+m], done)
	// Output: /a "x", body "ok", done true
}
