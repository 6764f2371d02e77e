package bench

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// RunSchema is the schema of a run folder's manifest.
const RunSchema = "meshnic.run/1"

// RunManifestFile names the file that says how a run folder came about.
const RunManifestFile = "manifest.json"

// RunManifest is the manifests of a run's experiments in one, and what the
// folder holds: of every file, by its path in the folder, the SHA-256.
type RunManifest struct {
	Schema string `json:"schema"`
	Manifest
}

// WriteRunManifest writes the manifest of the run folder dir, whose experiments
// have the manifests of parts, in order. The folder is complete by then.
func WriteRunManifest(dir string, parts ...Manifest) error {
	if len(parts) == 0 {
		return nil
	}
	m := RunManifest{RunSchema, parts[0]}
	m.Binaries, m.Placement, m.Notes, m.Files = map[string]Binary{}, map[string]string{}, nil, map[string]string{}
	for _, p := range parts {
		maps.Copy(m.Binaries, p.Binaries)
		maps.Copy(m.Placement, p.Placement)
		for _, n := range p.Notes {
			if !slices.Contains(m.Notes, n) {
				m.Notes = append(m.Notes, n)
			}
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil && name != RunManifestFile {
			m.Files[filepath.ToSlash(name)] = hashFile(path)
		}
		return err
	})
	var b []byte
	if err == nil {
		b, err = json.MarshalIndent(m, "", "  ")
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, RunManifestFile), append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("bench: manifest of the run: %w", err)
	}
	return nil
}
