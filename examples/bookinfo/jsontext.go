package bookinfo

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// The originals parse JSON and write it again, each in its language's own
// spelling, and keep the order of keys. encoding/json does neither.

// jsonDepthMax is how deep a document may nest; Python gives up near 1000.
const jsonDepthMax = 500

// pythonDigitsMax is CPython's sys.int_info.default_max_str_digits.
const pythonDigitsMax = 4300

// object is a JSON object that keeps its order. Of a key that comes twice the
// first place and the last value count, as in Python and in JavaScript.
type object struct {
	keys []string
	vals map[string]any
}

func (o *object) set(key string, v any) {
	if _, dup := o.vals[key]; !dup {
		o.keys = append(o.keys, key)
	}
	o.vals[key] = v
}

// member returns a member of an object, nil if v is none or has none.
func member(v any, key string) any {
	if o, ok := v.(*object); ok {
		return o.vals[key]
	}
	return nil
}

// parseJSON returns nil, bool, json.Number, string, []any or *object.
func parseJSON(data []byte) (any, error) {
	if !json.Valid(data) {
		return nil, errors.New("bookinfo: not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return parseValue(d, 0)
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	if depth > jsonDepthMax {
		return nil, errors.New("bookinfo: JSON nested too deep")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	case json.Delim('{'):
		o := &object{vals: make(map[string]any)}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			o.set(k.(string), v)
		}
		_, err := d.Token()
		return o, err
	}
	return t, nil
}

// appendPython writes v as simplejson.dumps does: ", " and ": ", ASCII only.
// It fails on a number that Python fails on: a double out of range, an integer of
// more than pythonDigitsMax digits.
func appendPython(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendPythonString(b, v), nil
	case json.Number:
		s, err := pythonNumber(v)
		return append(b, s...), err
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = appendPython(b, e); err != nil {
				return b, err
			}
		}
		return append(b, ']'), nil
	case *object:
		b = append(b, '{')
		for i, k := range v.keys {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(appendPythonString(b, k), ": "...)
			if b, err = appendPython(b, v.vals[k]); err != nil {
				return b, err
			}
		}
		return append(b, '}'), nil
	}
	panic("bookinfo: appendPython: not a JSON value")
}

func appendPythonString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		if e := strings.IndexRune("\"\\\b\f\n\r\t", r); e >= 0 {
			b = append(b, '\\', `"\bfnrt`[e])
			continue
		}
		switch {
		case r >= ' ' && r < 0x7f || r == 0x7f:
			b = append(b, byte(r))
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			b = appendEscape(appendEscape(b, hi), lo)
		default:
			b = appendEscape(b, r)
		}
	}
	return append(b, '"')
}

func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// pythonNumber is repr(int) or repr(float).
func pythonNumber(n json.Number) (string, error) {
	s := n.String()
	if !strings.ContainsAny(s, ".eE") {
		if s == "-0" {
			return "0", nil
		}
		if len(strings.TrimPrefix(s, "-")) > pythonDigitsMax {
			return "", errors.New("bookinfo: integer of too many digits")
		}
		return s, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", errors.New("bookinfo: number out of range")
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64), nil
	}
	t := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(t, ".") {
		t += ".0"
	}
	return t, nil
}

// appendJS writes v as JavaScript's JSON.stringify does: no spaces, UTF-8,
// numbers as doubles, keys that are array indices first and in order.
func appendJS(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendJSString(b, v)
	case json.Number:
		f, _ := strconv.ParseFloat(v.String(), 64)
		return append(b, jsNumber(f)...)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJS(b, e)
		}
		return append(b, ']')
	case *object:
		b = append(b, '{')
		for i, k := range jsOrder(v.keys) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSString(b, k), ':')
			b = appendJS(b, v.vals[k])
		}
		return append(b, '}')
	}
	panic("bookinfo: appendJS: not a JSON value")
}

func appendJSString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		if e := strings.IndexRune("\"\\\b\f\n\r\t", r); e >= 0 {
			b = append(b, '\\', `"\bfnrt`[e])
		} else if r < ' ' {
			b = appendEscape(b, r)
		} else {
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

// jsNumber is ECMAScript's Number::toString, with null for what JSON lacks.
// encoding/json formats finite numbers by the same rule, but for -0.
func jsNumber(f float64) string {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return "null"
	}
	if f == 0 {
		return "0"
	}
	b, err := json.Marshal(f)
	if err != nil {
		panic(err) // finite numbers always marshal
	}
	return string(b)
}

// jsOrder puts array indices (0 to 2^32-2, in canonical form) first, ascending.
func jsOrder(keys []string) []string {
	index := func(k string) (uint64, bool) {
		n, err := strconv.ParseUint(k, 10, 32)
		return n, err == nil && n < math.MaxUint32 && strconv.FormatUint(n, 10) == k
	}
	out := slices.Clone(keys)
	slices.SortStableFunc(out, func(a, b string) int {
		x, xi := index(a)
		y, yi := index(b)
		switch {
		case xi && yi:
			return int(int64(x) - int64(y))
		case xi:
			return -1
		case yi:
			return 1
		}
		return 0
	})
	return out
}
