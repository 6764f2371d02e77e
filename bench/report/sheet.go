package report

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed sheet.tmpl
var sheetTemplate string

// Sheet is a page with one chart and tables of ready text.
type Sheet struct {
	Title    string
	Lede     string
	Warnings []string
	Figure   Scatter
	Caption  string
	Tables   []SheetTable
	Notes    []string
	Facts    [][2]string // name and value
}

// SheetTable is a table; its first column names the row.
type SheetTable struct {
	Caption string
	Columns []SheetColumn
	Rows    [][]string
}

// SheetColumn is a header, with the unit above the name.
type SheetColumn struct {
	Unit, Name string
	Left       bool // text, not a number
}

// SheetHTML writes the page as one file: style sheet and figure inline, no
// script, nothing fetched. The same sheet gives the same bytes.
func SheetHTML(w io.Writer, s Sheet) error {
	t, err := template.New("sheet").Parse(sheetTemplate)
	if err != nil {
		return wrap("parse the built-in template", err)
	}
	return wrap("write HTML", t.Execute(w, struct {
		Sheet
		CSS template.CSS // ours, and free of anything a sheet says
		SVG template.HTML
	}{s, template.CSS(themeCSS(":root", Auto) + chartCSS + slotCSS() + pageCSS), template.HTML(s.Figure.canvas().svg(s.Figure.Label))}))
}
