package layers

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the layer table into ARCHITECTURE.md")

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath, Doc, Dir               string
	Imports, TestImports, XTestImports []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Dir,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		require.NoError(t, dec.Decode(&p))
		pkgs = append(pkgs, p)
	}
	require.NotEmpty(t, pkgs)
	return pkgs
}

func covers(pattern, path string) bool {
	dir, tree := strings.CutSuffix(pattern, "/...")
	return pattern == path || tree && strings.HasPrefix(path, dir+"/")
}

func find(path string) (Layer, bool) {
	for _, l := range Table {
		if covers(l.Package, path) {
			return l, true
		}
	}
	return Layer{}, false
}

func TestImports(t *testing.T) {
	for _, p := range list(t) {
		path := strings.TrimPrefix(p.ImportPath, Module+"/")
		l, ok := find(path)
		if !ok {
			t.Errorf("%s is not in the layer table", path)
			continue
		}
		for _, imp := range p.Imports {
			dep, ours := strings.CutPrefix(imp, Module+"/")
			if !ours {
				continue
			}
			allowed := false
			for _, m := range l.May {
				allowed = allowed || covers(m, dep)
			}
			if !allowed {
				t.Errorf("%s imports %s", path, dep)
			}
		}
	}
}

// The card knows no host: no socket, no file, no clock, no chance.
func TestDatapathIsDeterministic(t *testing.T) {
	for _, p := range list(t) {
		path := strings.TrimPrefix(p.ImportPath, Module+"/")
		if path != "datapath" && !strings.HasPrefix(path, "datapath/") || path == "datapath/datapathtest" {
			continue
		}
		for _, imp := range p.Imports {
			switch imp {
			case "net", "os", "syscall", "math/rand", "math/rand/v2", "sync", "context", "golang.org/x/sys/unix":
				t.Errorf("%s imports %s", path, imp)
			case "time":
				if path != "datapath/sim" {
					t.Errorf("%s imports time; convert cycles with sim.Clock where they leave the datapath", path)
				}
			}
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range list(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func TestArchitecturePrintsTheTable(t *testing.T) {
	const begin, end = "<!-- layers: written by go test ./internal/layers -update -->\n", "<!-- end of layers -->\n"
	file := filepath.Join("..", "..", "ARCHITECTURE.md")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(b), begin)
	require.True(t, ok, "ARCHITECTURE.md has no line %q", begin)
	got, tail, ok := strings.Cut(rest, end)
	require.True(t, ok, "ARCHITECTURE.md has no line %q", end)
	want := markdown()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(head+begin+want+end+tail), 0o644))
		return
	}
	require.Equal(t, want, got, "run: go test ./internal/layers -update")
}

func markdown() string {
	var b strings.Builder
	b.WriteString("| package | is | may import |\n|---|---|---|\n")
	for _, l := range Table {
		may := strings.Join(l.May, ", ")
		if may == "" {
			may = "nothing of ours"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.Package, l.Is, may)
	}
	return b.String()
}
