package pipeline

import (
	"embed"
	"path"
	"slices"
	"strings"
)

//go:embed shipped/*.yaml
var shipped embed.FS

// Shipped are the names of the pipelines that are built in.
func Shipped() []string {
	files, err := shipped.ReadDir("shipped")
	if err != nil {
		panic(err) // built in
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Load returns a pipeline that is built in, by its name; its text is what a
// user may copy and change.
func Load(name string) (d *Description, text []byte, ok bool) {
	text, err := shipped.ReadFile(path.Join("shipped", name+".yaml"))
	if err != nil {
		return nil, nil, false
	}
	d, err = Parse(text, name)
	if err != nil {
		panic(err) // a test reads them all
	}
	return d, text, true
}
