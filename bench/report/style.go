package report

import "hash/fnv"

// style is how a system looks in every chart: a slot of the palette and a
// marker. Members of a family share the marker's shape; the one that does less
// is open and lighter. Shape and label carry the meaning on their own, so the
// charts also read in grey.
type style struct {
	slot  string
	shape shape
	open  bool
}

type shape int

const (
	circle shape = iota
	square
	triangle
	diamond
	pentagon
	down
	hexagon
	star
)

// styleOf returns the style of a system. A name that nobody foresaw gets a
// style of its own that depends on nothing but the name.
func styleOf(system string) style {
	switch system {
	case "direct", "without_envoy":
		return style{"ink", circle, false}
	case "without_envoy_balanced", "linux_bridge":
		return style{"grey", circle, true}
	case "sidecar_inbound":
		return style{"sky", triangle, true}
	case "sidecar":
		return style{"blue", triangle, false}
	case "envoy_inbound":
		return style{"amber", square, true}
	case "envoy":
		return style{"rust", square, false}
	case "nic_passthrough", "nic_passthrough_xdp":
		return style{"green", diamond, false}
	case "nic_passthrough_slowpath":
		return style{"green", diamond, true}
	case "nic_null":
		return style{"mint", diamond, true}
	case "nic_passthrough_tap":
		return style{"indigo", down, false}
	case "nic_passthrough_packet":
		return style{"olive", hexagon, false}
	case "nic_offload":
		return style{"rose", star, false}
	case "nic_offload_untimed":
		return style{"rose", star, true}
	case "haproxy", "haproxy_tcp":
		return style{"magenta", pentagon, false}
	case "nginx":
		return style{"olive", down, true}
	case "k8s_without_istio":
		return style{"lavender", hexagon, true}
	case "k8s_sidecar":
		return style{"mint", down, true}
	case "k8s_with_istio":
		return style{"violet", hexagon, false}
	case "k8s_nic_offload":
		return style{"magenta", star, true}
	}
	h := fnv.New32a()
	h.Write([]byte(system))
	spare := [...]string{"sky", "amber", "magenta", "olive", "violet", "mint"}
	sum := h.Sum32()
	return style{spare[sum%uint32(len(spare))], shape(sum >> 8 % 7), sum>>16&1 == 1}
}

// swatch is a named colour for light and for dark surfaces.
type swatch struct{ name, light, dark string }

// palette holds the colours of systems. Those that meet in one chart stay
// apart for every common colour vision (a test computes it), and each has a
// contrast of 3 or more with its surface.
func palette() []swatch {
	return []swatch{
		{"ink", "#323b45", "#d0dff1"},
		{"grey", "#8791a2", "#777a80"},
		{"sky", "#2396e3", "#73c0fa"},
		{"blue", "#2c6fdb", "#5379fd"},
		{"amber", "#b08a14", "#e5b425"},
		{"rust", "#7d1a04", "#de5d33"},
		{"green", "#086b47", "#3ab486"},
		{"mint", "#159069", "#68d2b1"},
		{"magenta", "#a03f8d", "#d162bd"},
		{"rose", "#ff397b", "#be383c"},
		{"olive", "#817900", "#a7bb12"},
		{"indigo", "#7746c9", "#8879f8"},
		{"lavender", "#7e68c6", "#cab4fc"},
		{"violet", "#4c2db4", "#b178f3"},
	}
}

// chrome holds the colours of everything that is not a system. The cpu and
// the time colours differ in lightness, so that the segments of a bar differ in print.
func chrome() []swatch {
	return []swatch{
		{"surface", "#ffffff", "#14171c"},
		{"panel", "#f5f6f8", "#1c2027"},
		{"text", "#1b2128", "#e8ebf0"},
		{"muted", "#59626e", "#a5aebb"},
		{"grid", "#e3e6ea", "#2b313a"},
		{"axis", "#9aa3ae", "#5b6572"},
		{"warn", "#8a4b00", "#f2b45c"},
		{"warnbg", "#fff4df", "#33270f"},
		{"cpu-services", "#4a5a6e", "#7a899d"},
		{"cpu-proxy", "#d9722e", "#f0975a"},
		{"cpu-nic", "#0f8f70", "#35c79e"},
		{"cpu-generator", "#c3cad3", "#444d59"},
		{"time-wall", "#4a5a6e", "#7a899d"},
		{"time-emu", "#c3cad3", "#444d59"},
		{"time-model", "#0f8f70", "#35c79e"},
	}
}

// Theme chooses the colours of a stand-alone figure.
type Theme int

// The themes. Auto follows the reader's preference and falls back to Light.
const (
	Auto Theme = iota
	Light
	Dark
)

// themeCSS declares every colour as a variable for a selector.
func themeCSS(selector string, t Theme) string {
	declare := func(dark bool) string {
		s := selector + "{color-scheme:"
		if dark {
			s += "dark"
		} else {
			s += "light"
		}
		for _, w := range append(chrome(), palette()...) {
			c := w.light
			if dark {
				c = w.dark
			}
			s += ";--" + w.name + ":" + c
		}
		return s + "}\n"
	}
	switch t {
	case Light:
		return declare(false)
	case Dark:
		return declare(true)
	}
	// Paper is white whatever the screen was: print never sees the dark block.
	return declare(false) + "@media screen and (prefers-color-scheme:dark){\n" + declare(true) + "}\n"
}

// chartCSS is the part of the style sheet that the SVG needs, inline or alone.
const chartCSS = `.chart{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Liberation Sans",sans-serif}
.chart text{fill:var(--text)}
.chart .sub,.chart .tick{fill:var(--muted)}
.chart .tick{font-size:11px;font-variant-numeric:tabular-nums}
.chart .small{font-size:11px}
.chart .title{font-size:13px;font-weight:600}
.chart .val{font-size:11px;font-variant-numeric:tabular-nums;paint-order:stroke;stroke:var(--surface);stroke-width:3px;stroke-linejoin:round}
.chart .own{fill:currentColor}
.chart .grid{stroke:var(--grid);fill:none}
.chart .axis{stroke:var(--axis);fill:none}
.chart .one{stroke:var(--muted);fill:none;stroke-dasharray:2 3}
.chart .panel{fill:var(--panel)}
.chart .surface{fill:var(--surface)}
.chart .line{stroke:currentColor;fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.chart .thin{stroke:currentColor;fill:none;stroke-width:1.25}
.chart .lead{stroke:currentColor;fill:none;stroke-width:1;opacity:.45}
.chart .dash{stroke-dasharray:2.4 1.3}
.chart .full{fill:currentColor;stroke:var(--surface);stroke-width:1}
.chart .open{fill:var(--surface);stroke:currentColor;stroke-width:1.75}
.chart .onbar{fill:var(--surface)}
`

// slotCSS gives each slot a class that sets the current colour.
func slotCSS() string {
	s := ""
	for _, w := range append(palette(), chrome()...) {
		s += ".k-" + w.name + "{color:var(--" + w.name + ")}"
	}
	return s + "\n"
}
