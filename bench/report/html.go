package report

import (
	"html/template"
	"io"
)

// HTML writes the report of a run as one file.
func HTML(w io.Writer, run Run) error {
	t := template.Must(template.New("report").Parse("<!doctype html><title>{{.Title}}</title>"))
	return wrap("write HTML", t.Execute(w, run))
}
