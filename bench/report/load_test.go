package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/internal/failure"
)

func TestLoadReadsARunFolder(t *testing.T) {
	run := loadSynthetic(t)
	require.Equal(t, "synthetic", run.Name)
	var names []string
	for _, d := range run.Documents {
		names = append(names, label(d))
	}
	require.Equal(t, []string{"bookinfo, polyglot", "bookinfo, native", "hop", "curl", "link"}, names)
}

func TestLoadSkipsWhatIsNotADocument(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("manifest.json", "{")
	write("envoy-details.json", "{")
	write("hop.json.tmp", "{")
	_, err := Load(dir)
	require.Equal(t, failure.BadFile, failure.KindOf(err))
	require.ErrorContains(t, err, "none of curl.json")
	data, err := json.Marshal(syntheticHop())
	require.NoError(t, err)
	write("hop.json", string(data))
	run, err := Load(dir)
	require.NoError(t, err)
	require.Len(t, run.Documents, 1)
	write("bookinfo.json", "{")
	_, err = Load(dir)
	require.Equal(t, failure.BadFile, failure.KindOf(err))
	require.ErrorContains(t, err, "bookinfo.json")
	_, err = Load(filepath.Join(dir, "nowhere"))
	require.Equal(t, failure.BadFile, failure.KindOf(err))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestDecodeSaysWhere(t *testing.T) {
	ok := `{"schema":"meshnic.bench/1","experiment":"hop","systems":[SYSTEM]}`
	system := func(s string) string { return strings.Replace(ok, "SYSTEM", s, 1) }
	for name, tt := range map[string]struct{ in, want string }{
		"nothing":            {"", "line 1, column 1: unexpected end"},
		"cut off":            {"{\n \"schema\": \"mesh", "line 2, column 16"},
		"syntax":             {"{\n \"schema\": ,\n}", "line 2, column 12"},
		"type":               {"{\n \"schema\":\n  7}", "line 3, column 3"},
		"two documents":      {"{}{}", "line 1, column 3"},
		"other schema":       {`{"schema":"meshnic.bench/2"}`, `schema is "meshnic.bench/2", allowed is "meshnic.bench/1"`},
		"other experiment":   {`{"schema":"meshnic.bench/1","experiment":"x"}`, "allowed are bookinfo, hop, curl, link"},
		"work missing":       {`{"schema":"meshnic.bench/1","experiment":"bookinfo"}`, "allowed are polyglot, native, paper"},
		"no name":            {system(`{"absent":"x"}`), "systems[0] (\"\"): name is empty"},
		"neither":            {system(`{"name":"a"}`), "neither wall_us nor a reason"},
		"negative":           {system(`{"name":"a","absent":"x","connections":-1}`), "must not be negative"},
		"projected alone":    {system(`{"name":"a","wall_us":{"p50":1,"p90":1,"p99":1,"p999":1,"max":1},"emu_us":{"p50":1},"projected_us":{"p50":1}}`), "projected_us without the wall_us and model_ns"},
		"emu alone":          {system(`{"name":"a","absent":"x","emu_us":{"p50":1}}`), "emu_us without the wall_us"},
		"falling quantiles":  {system(`{"name":"a","wall_us":{"p50":2,"p90":1,"p99":3,"p999":3,"max":3}}`), "must rise"},
		"absurd":             {system(`{"name":"a","wall_us":{"p50":2,"p90":2,"p99":3,"p999":3,"max":1e308}}`), "at most 1e+15"},
		"cdf out of order":   {system(`{"name":"a","absent":"x","cdf":[{"wall_us":1,"share":0.5},{"wall_us":2,"share":0.4}]}`), "cdf[1] is out of order"},
		"cdf share beyond 1": {system(`{"name":"a","absent":"x","cdf":[{"wall_us":1,"share":1.5}]}`), "cdf[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode("x.json", []byte(tt.in))
			require.Equal(t, failure.BadFile, failure.KindOf(err))
			require.ErrorContains(t, err, "read x.json: ")
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := Decode("x.json", []byte(`{"schema":"meshnic.bench/1","experiment":"hop","later":1}`))
	require.NoError(t, err, "a field added later within the schema is skipped")
	_, err = ReadFile(filepath.Join(t.TempDir(), "none.json"))
	require.Equal(t, failure.BadFile, failure.KindOf(err))
}

// What Decode accepts is drawn without a panic, a script or a NaN.
func FuzzDecode(f *testing.F) {
	for _, d := range []bench.Document{syntheticPaths("curl", 1180, 9), hostile("<script>"), odd()["all zero"], odd()["only absent"]} {
		d.Systems = d.Systems[max(0, len(d.Systems)-3):] // small seeds are minimised quickly
		for i := range d.Systems {
			d.Systems[i].CDF = nil
		}
		data, err := json.Marshal(d)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := Decode("fuzz.json", data)
		if err != nil {
			return
		}
		if len(doc.Systems) > 60 {
			return // a chart of thousands of bars only takes time
		}
		var page, rest bytes.Buffer
		require.NoError(t, HTML(&page, Run{Documents: []bench.Document{doc}}))
		require.NoError(t, Table(&rest, doc))
		require.NoError(t, CSV(&rest, doc))
		lacks(t, page.String(), "<script")
		for _, s := range svgs(page.String()) {
			wellFormed(t, s)
		}
	})
}
