package container

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// dial returns a client of the Unix socket at path; over HTTP/2, if asked, without
// TLS.
func dial(path string, http2 bool) *http.Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
		DisableCompression: true,
	}
	if http2 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return &http.Client{Transport: t}
}

// grpc makes unary calls. The four that are needed are a POST each, which is less than
// a library that can do all of gRPC.
type grpc struct{ c *http.Client }

// status is a call's refusal.
type status struct {
	code string // google.rpc.Code, as a number
	text string
}

func (s *status) Error() string { return "gRPC status " + s.code + ": " + s.text }

// unimplemented reports whether the server does not know the service or method.
func unimplemented(err error) bool {
	var s *status
	return errors.As(err, &s) && s.code == "12"
}

// call sends a message to a method, such as /runtime.v1.RuntimeService/Version, and
// returns the answer's.
func (g grpc) call(ctx context.Context, method string, msg []byte, headers ...string) ([]byte, error) {
	frame := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(msg)))...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+method, bytes.NewReader(append(frame, msg...)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := g.c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: HTTP status %s", method, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	said := resp.Trailer
	if said.Get("Grpc-Status") == "" { // an answer of trailers alone
		said = resp.Header
	}
	if code := said.Get("Grpc-Status"); code != "0" {
		text, err := url.PathUnescape(said.Get("Grpc-Message"))
		if err != nil {
			text = said.Get("Grpc-Message")
		}
		return nil, &status{code, text}
	}
	return unframe(body)
}

// unframe takes the one message out of an answer: a byte that says whether it is
// compressed, its length, itself.
func unframe(b []byte) ([]byte, error) {
	if len(b) < 5 {
		return nil, fmt.Errorf("gRPC: an answer of %d bytes", len(b))
	}
	if b[0] != 0 {
		return nil, errors.New("gRPC: a compressed answer, which was not asked for")
	}
	if n := binary.BigEndian.Uint32(b[1:]); uint64(n) != uint64(len(b)-5) {
		return nil, fmt.Errorf("gRPC: an answer of %d bytes in %d", n, len(b)-5)
	}
	return b[5:], nil
}

// message is a protobuf message's fields, in their order; numbers as one byte string
// each would be, by protowire.
type message map[protowire.Number][]value

// value is one field's: bytes or a number.
type value struct {
	b []byte
	n uint64
}

// decode reads a message. Fields of other types than bytes and varints are passed over.
func decode(b []byte) (message, error) {
	m := message{}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		b = b[n:]
		var v value
		switch typ {
		case protowire.BytesType:
			v.b, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			v.n, n = protowire.ConsumeVarint(b)
		default:
			if n = protowire.ConsumeFieldValue(num, typ, b); n >= 0 {
				b = b[n:]
				continue
			}
		}
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		b = b[n:]
		m[num] = append(m[num], v)
	}
	return m, nil
}

// last is the field's value that counts where it is not repeated.
func (m message) last(num protowire.Number) value {
	if v := m[num]; len(v) > 0 {
		return v[len(v)-1]
	}
	return value{}
}

func (m message) text(num protowire.Number) string { return string(m.last(num).b) }

// sub reads a message in a field; an empty one if there is none.
func (m message) sub(num protowire.Number) (message, error) { return decode(m.last(num).b) }

// each reads the messages of a repeated field.
func (m message) each(num protowire.Number, f func(message) error) error {
	for _, v := range m[num] {
		x, err := decode(v.b)
		if err == nil {
			err = f(x)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pairs reads a map of strings.
func (m message) pairs(num protowire.Number) (map[string]string, error) {
	to := map[string]string{}
	err := m.each(num, func(e message) error {
		to[e.text(1)] = e.text(2)
		return nil
	})
	return to, err
}

// appendText appends a string field; appendMap a map of strings.
func appendText(b []byte, num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func appendBool(b []byte, num protowire.Number, on bool) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), protowire.EncodeBool(on))
}

func appendMap(b []byte, num protowire.Number, m map[string]string) []byte {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		e := appendText(appendText(nil, 1, k), 2, m[k])
		b = protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), e)
	}
	return b
}
