package report

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// rgb in linear light.
func rgb(t *testing.T, hex string) [3]float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex[1:], 16, 32)
	require.NoError(t, err)
	var out [3]float64
	for i := range out {
		c := float64(n>>(16-8*i)&255) / 255
		if out[i] = c / 12.92; c > .04045 {
			out[i] = math.Pow((c+.055)/1.055, 2.4)
		}
	}
	return out
}

// contrast by WCAG 2.1.
func contrast(a, b [3]float64) float64 {
	y := func(c [3]float64) float64 { return .2126*c[0] + .7152*c[1] + .0722*c[2] + .05 }
	return max(y(a), y(b)) / min(y(a), y(b))
}

// oklab is Björn Ottosson's OKLab: distances in it are about equally visible.
func oklab(c [3]float64) [3]float64 {
	l := math.Cbrt(.4122214708*c[0] + .5363325363*c[1] + .0514459929*c[2])
	m := math.Cbrt(.2119034982*c[0] + .6806995451*c[1] + .1073969566*c[2])
	s := math.Cbrt(.0883024619*c[0] + .2817188376*c[1] + .6299787005*c[2])
	return [3]float64{
		.2104542553*l + .7936177850*m - .0040720468*s,
		1.9779984951*l - 2.4285922050*m + .4505937099*s,
		.0259040371*l + .7827717662*m - .8086757660*s,
	}
}

// visions are the full dichromacies of Machado, Oliveira and Fernandes (2009),
// table 1, severity 1.0, on linear RGB.
func visions() map[string][3][3]float64 {
	return map[string][3][3]float64{
		"normal":       {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
		"protanopia":   {{.152286, 1.052583, -.204868}, {.114503, .786281, .099216}, {-.003882, -.048116, 1.051998}},
		"deuteranopia": {{.367322, .860646, -.227968}, {.280085, .672501, .047413}, {-.011820, .042940, .968881}},
		"tritanopia":   {{1.255528, -.076749, -.178779}, {-.078411, .930809, .147602}, {.004733, .691367, .303900}},
	}
}

func seen(c [3]float64, m [3][3]float64) [3]float64 {
	var out [3]float64
	for i := range out {
		out[i] = min(max(m[i][0]*c[0]+m[i][1]*c[1]+m[i][2]*c[2], 0), 1)
	}
	return oklab(out)
}

// meets lists the systems that stand in one chart.
func meets() [][]string {
	return [][]string{
		{"without_envoy", "without_envoy_balanced", "sidecar_inbound", "sidecar", "envoy_inbound", "envoy", "nic_passthrough", "nic_offload"},
		{"without_envoy", "envoy_inbound", "envoy", "k8s_without_istio", "k8s_sidecar", "k8s_with_istio", "k8s_nic_offload", "nic_offload"}, // the paper's points are in the first, too
		{"direct", "nic_passthrough", "nic_offload", "sidecar", "envoy", "haproxy", "nginx"},
		{"direct", "linux_bridge", "nic_null", "nic_passthrough_xdp", "nic_passthrough_tap", "nic_passthrough_packet", "haproxy_tcp"},
		{"direct", "linux_bridge", "nic_null", "nic_passthrough_xdp", "nic_passthrough_tap", "nic_passthrough_packet", "nic_offload"},
	}
}

func TestSystemsOfOneChartCanBeToldApart(t *testing.T) {
	for _, dark := range []bool{false, true} {
		colours := map[string]string{}
		for _, w := range append(palette(), chrome()...) {
			colours[w.name] = map[bool]string{true: w.dark, false: w.light}[dark]
		}
		surface := rgb(t, colours["surface"])
		for _, names := range meets() {
			for i, a := range names {
				x := styleOf(a)
				require.GreaterOrEqual(t, contrast(rgb(t, colours[x.slot]), surface), 3.0, "%s, dark %v", a, dark)
				for _, b := range names[:i] {
					y := styleOf(b)
					require.NotEqual(t, fmt.Sprint(x.shape, x.open), fmt.Sprint(y.shape, y.open), "%s and %s share a marker, which is all that grey print has", a, b)
					for vision, m := range visions() {
						p, q := seen(rgb(t, colours[x.slot]), m), seen(rgb(t, colours[y.slot]), m)
						d := math.Sqrt((p[0]-q[0])*(p[0]-q[0]) + (p[1]-q[1])*(p[1]-q[1]) + (p[2]-q[2])*(p[2]-q[2]))
						require.GreaterOrEqual(t, d, .08, "%s and %s with %s, dark %v", a, b, vision, dark)
					}
				}
			}
		}
	}
}

func TestTextIsReadable(t *testing.T) {
	for _, dark := range []bool{false, true} {
		c := map[string][3]float64{}
		for _, w := range chrome() {
			c[w.name] = rgb(t, map[bool]string{true: w.dark, false: w.light}[dark])
		}
		for _, pair := range [][2]string{{"text", "surface"}, {"text", "panel"}, {"muted", "surface"}, {"muted", "panel"}, {"warn", "warnbg"}, {"text", "warnbg"}} {
			require.GreaterOrEqual(t, contrast(c[pair[0]], c[pair[1]]), 4.5, "%v, dark %v", pair, dark)
		}
		// Neighbours in a stacked bar differ in lightness, which survives print in grey.
		stack := []string{"cpu-services", "cpu-proxy", "cpu-nic", "cpu-generator"}
		require.GreaterOrEqual(t, contrast(c[stack[0]], c[stack[1]]), 1.4, "dark %v", dark)
		require.GreaterOrEqual(t, contrast(c[stack[2]], c[stack[3]]), 1.4, "dark %v", dark)
	}
}

func TestUnknownSystemsHaveAStyleThatStays(t *testing.T) {
	slots := map[string]bool{}
	for _, w := range palette() {
		slots[w.name] = true
	}
	for i := range 200 {
		name := fmt.Sprint("system ", i)
		require.True(t, slots[styleOf(name).slot])
		require.Equal(t, styleOf(name), styleOf(name))
	}
	require.Equal(t, styleOf("direct"), styleOf("without_envoy"), "the baselines look alike everywhere")
}
