package bookinfo

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The right column is what simplejson 3.20.1 and Node 20.20 print.
func TestJSONText(t *testing.T) {
	for _, tt := range []struct{ in, python, js string }{
		{`{"b":1.0,"a":1e21,"b":2}`, `{"b": 2, "a": 1e+21}`, `{"b":2,"a":1e+21}`},
		{`[1e-7,0.0001,0.00001,1e-6]`, `[1e-07, 0.0001, 1e-05, 1e-06]`, `[1e-7,0.0001,0.00001,0.000001]`},
		{`[12345678901234567890123,-0.0,-0]`, `[12345678901234567890123, -0.0, 0]`, `[1.2345678901234568e+22,0,0]`},
		{`[1e16,1e15,1E5,1.0e22,1.5e300]`, `[1e+16, 1000000000000000.0, 100000.0, 1e+22, 1.5e+300]`, `[10000000000000000,1000000000000000,100000,1e+22,1.5e+300]`},
		{`[123456789012345.678]`, `[123456789012345.67]`, `[123456789012345.67]`},
		{`"\u00e9\ud83d\ude00/<&>\u2028\u007f\u0001\b\""`, "\"\\u00e9\\ud83d\\ude00/<&>\\u2028\x7f\\u0001\\b\\\"\"", "\"é😀/<&>\u2028\x7f\\u0001\\b\\\"\""},
		{`{"g":[],"h":{},"m":[1,{"x":null}],"q":true}`, `{"g": [], "h": {}, "m": [1, {"x": null}], "q": true}`, `{"g":[],"h":{},"m":[1,{"x":null}],"q":true}`},
		{`{"10":0,"9":0,"-1":0,"01":0,"4294967295":0,"4294967294":0,"":0}`, `{"10": 0, "9": 0, "-1": 0, "01": 0, "4294967295": 0, "4294967294": 0, "": 0}`, `{"9":0,"10":0,"4294967294":0,"-1":0,"01":0,"4294967295":0,"":0}`},
	} {
		v, err := parseJSON([]byte(tt.in))
		require.NoError(t, err)
		p, err := appendPython(nil, v)
		require.NoError(t, err)
		require.Equal(t, tt.python, string(p))
		require.Equal(t, tt.js, string(appendJS(nil, v)))
	}
	for _, bad := range []string{"", "{", "[1 2]", "nul", `{"a" 1}`, "1 2", "\x00", strings.Repeat("[", jsonDepthMax+2) + strings.Repeat("]", jsonDepthMax+2)} {
		_, err := parseJSON([]byte(bad))
		require.Error(t, err, bad)
	}
	v, err := parseJSON([]byte("[1e400]"))
	require.NoError(t, err)
	_, err = appendPython(nil, v)
	require.Error(t, err)
	require.Equal(t, "[null]", string(appendJS(nil, v)))

	for digits, ok := range map[int]bool{400: true, 4300: true, 4301: false} {
		v, err := parseJSON([]byte("-" + strings.Repeat("9", digits)))
		require.NoError(t, err)
		p, err := appendPython(nil, v)
		require.Equal(t, ok, err == nil, "%d digits", digits)
		require.True(t, !ok || len(p) == digits+1)
	}
}

// What is written again parses, and means the same; written twice, it is the
// same text.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"id":0,"ratings":{"Reviewer1":5}}`, `[1e-7,-0.0,"\u00e9\ud83d\ude00",null,true]`, `{"2":1,"10":2,"a":{"2":1}}`, `"\u0001\\"`, "[1e400]", strings.Repeat("9", 400)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(data)
		if err != nil {
			return
		}
		js := appendJS(nil, v)
		again, err := parseJSON(js)
		if err != nil {
			t.Fatalf("JS form %q of %q: %v", js, data, err)
		}
		if twice := appendJS(nil, again); string(twice) != string(js) {
			t.Fatalf("%q, then %q", js, twice)
		}
		py, err := appendPython(nil, v)
		if err != nil {
			return // out of range
		}
		for i, c := range py {
			if c >= 0x80 {
				t.Fatalf("byte %d of %q is not ASCII", i, py)
			}
		}
		require.Equal(t, meaning(t, data), meaning(t, py), "%q became %q", data, py)
	})
}

// meaning is what encoding/json makes of data, with infinity for a number that
// is beyond a double.
func meaning(t *testing.T, data []byte) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), "%q", data)
	return doubles(v)
}

func doubles(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := strconv.ParseFloat(v.String(), 64)
		return f
	case []any:
		for i := range v {
			v[i] = doubles(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = doubles(v[k])
		}
	}
	return v
}
