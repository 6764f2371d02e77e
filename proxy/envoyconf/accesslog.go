package envoyconf

import (
	"fmt"
	"maps"
	"slices"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Envoy's name of the file logger.
const fileLogName = "envoy.access_loggers.file"

func (r *reader) accessLogs(path string, list []*accesslogv3.AccessLog) (out []mesh.AccessLog) {
	for i, l := range list {
		p := fmt.Sprintf("%s[%d].typed_config", path, i)
		m, err := l.GetTypedConfig().UnmarshalNew()
		if err != nil {
			r.fail(p, "is not an access logger: %v", err)
			continue
		}
		x := mesh.AccessLog{Filter: r.logFilter(fmt.Sprintf("%s[%d].filter", path, i), l.GetFilter())}
		var format *corev3.SubstitutionFormatString
		switch m := m.(type) {
		case *filev3.FileAccessLog:
			x.Path, format = m.GetPath(), m.GetLogFormat()
			if x.Path == "" {
				r.fail(p+".path", "is empty")
			}
		case *streamv3.StdoutAccessLog:
			x.Path, format = "/dev/stdout", m.GetLogFormat()
		case *streamv3.StderrAccessLog:
			x.Path, format = "/dev/stderr", m.GetLogFormat()
		default:
			r.fail(p+".@type", "%s is not an access logger", l.GetTypedConfig().GetTypeUrl())
			continue
		}
		if format != nil {
			r.logFormat(p+".log_format", format, &x)
		}
		out = append(out, x)
	}
	return out
}

func (r *reader) logFormat(path string, f *corev3.SubstitutionFormatString, out *mesh.AccessLog) {
	out.OmitEmpty = f.GetOmitEmptyValues()
	switch x := f.GetFormat().(type) {
	case *corev3.SubstitutionFormatString_TextFormatSource:
		out.Text = x.TextFormatSource.GetInlineString()
		if out.Text == "" {
			r.fail(path+".text_format_source.inline_string", "is empty")
		}
		r.format(path+".text_format_source.inline_string", out.Text)
	case *corev3.SubstitutionFormatString_JsonFormat:
		out.JSON = x.JsonFormat.AsMap()
		r.formats(path+".json_format", out.JSON)
	default:
		r.fail(path, "has neither text_format_source nor json_format")
	}
}

// formats checks the strings of a JSON format where they stand.
func (r *reader) formats(path string, v any) {
	switch v := v.(type) {
	case string:
		r.format(path, v)
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			r.formats(path+"."+k, v[k])
		}
	case []any:
		for i, e := range v {
			r.formats(fmt.Sprintf("%s[%d]", path, i), e)
		}
	}
}

func (r *reader) format(path, s string) {
	if _, err := mesh.ParseFormat(s); err != nil {
		r.fail(path, "%q: %v", s, err)
	}
}

// accessLogs is the way back.
func accessLogs(list []mesh.AccessLog) (out []*accesslogv3.AccessLog, err error) {
	for _, l := range list {
		x := &filev3.FileAccessLog{Path: l.Path}
		f := &corev3.SubstitutionFormatString{OmitEmptyValues: l.OmitEmpty}
		switch {
		case l.JSON != nil:
			s, err := structpb.NewStruct(l.JSON)
			if err != nil {
				return nil, fmt.Errorf("json_format: %w", err)
			}
			f.Format = &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: s}
		case l.Text != "":
			f.Format = &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: l.Text},
			}}
		}
		if f.Format != nil {
			x.AccessLogFormat = &filev3.FileAccessLog_LogFormat{LogFormat: f}
		}
		any, err := anypb.New(x)
		if err != nil {
			return nil, err
		}
		out = append(out, &accesslogv3.AccessLog{Name: fileLogName, Filter: logFilter(l.Filter), ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: any}})
	}
	return out, nil
}
