package sweep

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// ManifestFile names the file that says how a folder came about. It alone holds
// what differs from run to run.
const ManifestFile = "manifest.json"

// Manifest says how a folder came about.
type Manifest struct {
	Schema   string            `json:"schema"`
	Started  string            `json:"started"` // RFC 3339
	Command  []string          `json:"command"`
	Version  string            `json:"version"`
	Hash     string            `json:"plan_sha256"`
	Pipeline string            `json:"pipeline"`
	OS       string            `json:"os"`
	Arch     string            `json:"arch"`
	Cores    int               `json:"cores"`
	Shard    int               `json:"shard"`
	Shards   int               `json:"shards"`
	From     string            `json:"shard_from,omitempty"` // where the shard was found
	Merged   []string          `json:"merged,omitempty"`     // what the folder was merged from
	Points   int               `json:"points"`               // of the plan
	Done     int               `json:"points_done"`          // in this folder
	Resumed  int               `json:"points_resumed"`       // that were there before
	Errors   int               `json:"points_with_error"`
	WallS    float64           `json:"wall_s"`
	Rate     float64           `json:"points_per_s"`
	Files    map[string]string `json:"files"` // name to sha256
}

// NewManifest describes a run of a plan.
func NewManifest(p *Plan, version string, command []string, started time.Time) Manifest {
	return Manifest{
		Schema: Schema, Started: started.UTC().Format(time.RFC3339), Command: command, Version: version,
		Hash: p.Hash(), Pipeline: p.Pipeline.Name, OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(),
		Shards: 1, Points: p.Size(), Files: map[string]string{},
	}
}

// Write writes a file into the folder and enters it.
func (m *Manifest) Write(dir, name string, content []byte) error {
	m.enter(name, content)
	return replace(filepath.Join(dir, name), content)
}

func (m *Manifest) enter(name string, content []byte) {
	sum := sha256.Sum256(content)
	m.Files[name] = hex.EncodeToString(sum[:])
}

// Save enters the points and writes the manifest.
func (m *Manifest) Save(dir string) error {
	points, err := os.ReadFile(filepath.Join(dir, PointsFile))
	if err != nil {
		return err
	}
	m.enter(PointsFile, points)
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, ManifestFile), append(b, '\n'))
}

// ReadManifest reads a folder's manifest.
func ReadManifest(dir string) (m Manifest, err error) {
	name := filepath.Join(dir, ManifestFile)
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	return m, failure.Wrap(failure.BadFile, err, "read the manifest", "run the sweep again")
}
