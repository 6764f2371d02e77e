package bookinfo

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// The session is a cookie as Flask writes it: payload.time.signature, each in
// unpadded URL-safe base64; the payload is JSON, deflated behind a leading dot
// when that is shorter; the time is in seconds; the signature is HMAC-SHA1.

// sessionKey is the key that productpage of Istio has in its public source.
// Sharing it lets a user stay signed in when a mesh shifts traffic between
// that productpage and this one. It protects nothing.
const sessionKey = "_5#y2L\"F4Q8z\n\xec]/"

const (
	sessionSalt   = "cookie-session"    // Flask's
	sessionCookie = "session"           // Flask's default name
	sessionAge    = 31 * 24 * time.Hour // Flask's PERMANENT_SESSION_LIFETIME
	sessionMax    = 64 << 10            // bytes of an inflated payload
)

// session is what productpage keeps about its client.
type session struct {
	has  bool    // the key "user" is there
	user *string // nil for null: a login without the form field
}

// name returns the signed-in user, "" for none.
func (s session) name() string {
	if s.user == nil {
		return ""
	}
	return *s.user
}

// encode returns the cookie's value.
func (s session) encode(now time.Time) string {
	payload := []byte(`{"user":null}`)
	if s.user != nil {
		payload = append(appendPythonString([]byte(`{"user":`), *s.user), '}')
	}
	text := base64.RawURLEncoding.EncodeToString(payload)
	if z := deflated(payload); len(z) < len(payload)-1 {
		text = "." + base64.RawURLEncoding.EncodeToString(z)
	}
	var t [8]byte
	binary.BigEndian.PutUint64(t[:], uint64(now.Unix()))
	text += "." + base64.RawURLEncoding.EncodeToString(bytes.TrimLeft(t[:], "\x00"))
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(text))
}

// decodeSession reads a cookie's value. What is not signed, too old or not
// ours is no session, as in Flask.
func decodeSession(value string, now time.Time) session {
	text, sig, ok := cutLast(value)
	if !ok {
		return session{}
	}
	want, err := base64.RawURLEncoding.DecodeString(sig)
	if err != nil || !hmac.Equal(want, sign(text)) {
		return session{}
	}
	text, stamp, ok := cutLast(text)
	if !ok {
		return session{}
	}
	t, err := base64.RawURLEncoding.DecodeString(stamp)
	if err != nil || len(t) > 8 {
		return session{}
	}
	var b [8]byte
	copy(b[8-len(t):], t)
	age := now.Unix() - int64(binary.BigEndian.Uint64(b[:]))
	if age < 0 || age > int64(sessionAge/time.Second) {
		return session{}
	}
	return decodePayload(text)
}

func decodePayload(text string) session {
	deflate := strings.HasPrefix(text, ".")
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, "."))
	if err != nil {
		return session{}
	}
	if deflate {
		z, err := zlib.NewReader(bytes.NewReader(payload))
		if err != nil {
			return session{}
		}
		if payload, err = io.ReadAll(io.LimitReader(z, sessionMax)); err != nil {
			return session{}
		}
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(payload, &m) != nil {
		return session{}
	}
	raw, ok := m["user"]
	if !ok {
		return session{}
	}
	s := session{has: true}
	if json.Unmarshal(raw, &s.user) != nil {
		return session{}
	}
	return s
}

// sign derives the key as itsdangerous does in its "hmac" mode.
func sign(text string) []byte {
	key := hmac.New(sha1.New, []byte(sessionKey))
	key.Write([]byte(sessionSalt))
	mac := hmac.New(sha1.New, key.Sum(nil))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// sessionOf reads the session of a request.
func sessionOf(r *http.Request, now time.Time) session {
	for _, c := range r.CookiesNamed(sessionCookie) {
		return decodeSession(c.Value, now) // the first one counts
	}
	return session{}
}

func setCookie(value string) field {
	return field{"Set-Cookie", sessionCookie + "=" + value + "; HttpOnly; Path=/"}
}

func dropCookie() field {
	return field{"Set-Cookie", sessionCookie + "=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/"}
}
