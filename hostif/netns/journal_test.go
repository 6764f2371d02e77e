package netns

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		name      string
		lab, host bool
	}{
		{"a", true, true},
		{"reviews-v1", false, true},
		{"bench_1", true, false},
		{"0", true, true},
		{"", false, false},
		{"-a", false, false},
		{"a-", false, false},
		{"_a", false, false},
		{"../etc", false, false},
		{"a/b", false, false},
		{"A", false, false},
		{"a b", false, false},
		{"a\n", false, false},
		{strings.Repeat("a", 31), true, false},
		{strings.Repeat("a", 30), true, true},
		{strings.Repeat("a", 32), false, false},
	} {
		err := CheckLab(tt.name)
		require.Equal(t, tt.lab, err == nil, "lab %q", tt.name)
		if err != nil {
			require.Equal(t, failure.Usage, failure.KindOf(err))
		}
		require.Equal(t, tt.host, CheckHost(tt.name) == nil, "host %q", tt.name)
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		name, lab, host string
		ok              bool
	}{
		{"mnic-a-b", "a", "b", true},
		{"mnic-a-b-c", "a", "b-c", true}, // never lab "a-b"
		{"mnic-a", "", "", false},
		{"mnic-a-", "", "", false},
		{"mnic--b", "", "", false},
		{"other", "", "", false},
		{"xmnic-a-b", "", "", false},
	} {
		lab, host, ok := Split(tt.name)
		require.Equal(t, tt.ok, ok, tt.name)
		require.Equal(t, tt.lab, lab, tt.name)
		require.Equal(t, tt.host, host, tt.name)
	}
}

func TestDecodeJournal(t *testing.T) {
	full := `{"kind":"owner","pid":7}` + "\n" + `{"kind":"netns","name":"mnic-a-b"}` + "\n"
	for _, tt := range []struct {
		name, text   string
		entries, bad int
	}{
		{"whole", full, 2, 0},
		{"empty", "", 0, 0},
		{"cut in the last line", full[:len(full)-3], 1, 0},
		{"last line lacks its newline only", full[:len(full)-1], 1, 0},
		{"garbage between", `{"kind":"owner"}` + "\nxx\n" + `{"kind":"dir","path":"/x"}` + "\n", 2, 1},
		{"a line of another kind of file", "{}\n", 0, 1},
		{"zeros of a lost block", string(make([]byte, 64)) + "\n" + full, 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries, bad := DecodeJournal([]byte(tt.text))
			require.Len(t, entries, tt.entries)
			require.Equal(t, tt.bad, bad)
		})
	}
}

func FuzzDecodeJournal(f *testing.F) {
	f.Add([]byte(`{"kind":"owner","pid":7,"start_ticks":9}` + "\n" + `{"kind":"setting","handler":"x","change":{"a":[1]}}` + "\n{"))
	f.Add([]byte("\n\n{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, _ := DecodeJournal(b)
		var again []byte
		for _, e := range entries {
			var err error
			if again, err = e.appendLine(again); err != nil {
				t.Fatalf("entry that was read cannot be written: %v", err)
			}
		}
		got, bad := DecodeJournal(again)
		if bad != 0 || len(got) != len(entries) {
			t.Fatalf("%d of %d entries after writing them, %d bad", len(got), len(entries), bad)
		}
		for i := range got {
			x, _ := json.Marshal(entries[i])
			y, _ := json.Marshal(got[i])
			if string(x) != string(y) {
				t.Fatalf("%s became %s", x, y)
			}
		}
	})
}

func TestCheckVIP(t *testing.T) {
	ok := VIP{Addr: "10.0.0.1:80", Backends: []string{"10.0.0.2:8080"}}
	require.NoError(t, CheckVIP(ok))
	for _, bad := range []VIP{
		{Addr: "10.0.0.1", Backends: ok.Backends},
		{Addr: "10.0.0.1:0", Backends: ok.Backends},
		{Addr: "[::1]:80", Backends: ok.Backends},
		{Addr: "10.0.0.1:80"},
		{Addr: "10.0.0.1:80", Backends: []string{"reviews:9080"}},
	} {
		require.Equal(t, failure.Usage, failure.KindOf(CheckVIP(bad)), "%v", bad)
	}
}
