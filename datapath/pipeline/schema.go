package pipeline

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath/module"
)

// JSONSchema returns the JSON Schema (draft 2020-12) of a pipeline file, with
// every module, those built in and the user's own, and its parameters.
func JSONSchema(own ...module.Module) []byte {
	type object = map[string]any
	mhz := object{"type": "number", "minimum": minMHz, "maximum": maxMHz, "description": "clock in MHz"}
	common := func() object {
		return object{
			"name":      object{"type": "string", "pattern": nameLike.String(), "description": "unique; default the module's name"},
			"clock_mhz": mhz,
			"from": object{"description": "an input (in0, in1, …), a stage, or stage.N for its output N; default the stage before",
				"oneOf": []any{object{"type": "string"}, object{"type": "array", "items": object{"type": "string"}}}},
		}
	}
	defs := object{}
	ref := func(name string) string { return strings.NewReplacer("(", "-", ")", "").Replace(name) }
	var stages []any
	var bare []string
	for _, m := range slices.Concat(Modules, own) {
		props, params := common(), object{}
		props["module"] = object{"const": m.Name}
		var required []string
		for _, p := range slices.Concat(m.Params, m.Beside) {
			props[p.Name] = paramSchema(p)
			params[p.Name] = object{"$ref": "#/$defs/stage-" + ref(m.Name) + "/properties/" + p.Name}
			if p.Required && !slices.Contains(clockParams, p.Name) {
				required = append(required, p.Name)
			}
		}
		props["params"] = object{"type": "object", "description": "the parameters, if they do not stand beside module", "properties": params, "additionalProperties": false}
		stage := object{"type": "object", "description": m.Doc + ". Source: " + m.Source, "properties": props, "required": []string{"module"}, "additionalProperties": false}
		if len(required) == 0 {
			bare = append(bare, m.Name)
		} else {
			stage["anyOf"] = []any{object{"required": required}, object{"required": []string{"params"}, "properties": object{"params": object{"required": required}}}}
		}
		defs["stage-"+ref(m.Name)] = stage
		stages = append(stages, object{"$ref": "#/$defs/stage-" + ref(m.Name)})
	}
	if len(bare) > 0 {
		stages = append(stages, object{"enum": bare})
	}
	defs["stage"] = object{"oneOf": stages}
	defs["stages"] = object{"type": "array", "minItems": 1, "maxItems": maxStages, "items": object{"$ref": "#/$defs/stage"}}
	doc := object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     Schema,
		"title":   "A meshnic pipeline",
		"$defs":   defs,
		"oneOf": []any{
			object{"$ref": "#/$defs/stages"},
			object{"type": "object", "required": []string{"module"}, "$ref": "#/$defs/stage"},
			object{"type": "object", "additionalProperties": false, "required": []string{"stages"}, "properties": object{
				"schema": object{"const": Schema}, "name": object{"type": "string"}, "doc": object{"type": "string"}, "clock_mhz": mhz,
				"stages": object{"$ref": "#/$defs/stages"},
			}},
		},
	}
	b, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		panic(err) // a map of plain values
	}
	return append(b, '\n')
}

// clockParams are filled in from the neighbours when a file leaves them out.
var clockParams = []string{"S_CLK_MHZ", "M_CLK_MHZ", "MAC_MHZ", "LOGIC_MHZ"}

func paramSchema(p module.Param) map[string]any {
	s := map[string]any{"type": "number", "description": p.Doc}
	if p.Whole || p.Power {
		s["type"] = "integer"
	}
	if !p.Required {
		s["default"] = p.Default
	}
	switch {
	case p.Power && p.Max > 0:
		var all []float64
		for v := 1.0; v <= p.Max; v *= 2 {
			if v >= p.Min {
				all = append(all, v)
			}
		}
		s["enum"] = all
		delete(s, "type")
	case len(p.Allowed) > 0:
		s["enum"] = p.Allowed
		if slices.Equal(p.Allowed, []float64{0, 1}) {
			s["enum"] = []any{0, 1, false, true}
		}
		delete(s, "type")
	case p.Min != 0 || p.Max != 0:
		s["minimum"], s["maximum"] = p.Min, p.Max
	}
	return s
}
