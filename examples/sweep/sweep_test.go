package sweep_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	yaml "go.yaml.in/yaml/v3"
)

// bin is a folder with meshnic in it.
var bin string

func TestMain(m *testing.M) { os.Exit(withMeshnic(m)) }

func withMeshnic(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "meshnic-sweep"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-o", bin, "../../cmd/meshnic")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	return m.Run()
}

// site is a machine with meshnic in its PATH and the files of this folder, with
// a plan of few points; the scripts run there as their schedulers would run them.
type site struct{ dir string }

func newSite(t *testing.T) site {
	t.Helper()
	s := site{t.TempDir()}
	for _, name := range []string{"nic.yaml", "sweep.sbatch"} {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, name), b, 0o644))
	}
	const plan = "pipeline: nic.yaml\nvary:\n  width: [256, 512]\n  fifo_depth: [4096, 16384]\n  pcie_latency_ns: 300..900:+300\ntraffic: {bytes: 1514, frames: 8}\n"
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "plan.yaml"), []byte(plan), 0o644))
	return s
}

// run runs a command there with variables set; it returns what it prints.
func (s site) run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = s.dir
	cmd.Env = append([]string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + s.dir}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s %v: %s", name, args, stderr.String())
	return stdout.String()
}

func (s site) meshnic(t *testing.T, args ...string) string {
	t.Helper()
	return s.run(t, nil, filepath.Join(bin, "meshnic"), args...)
}

// same requires two folders to hold the same results, and their manifests to
// tell of all points.
func (s site) same(t *testing.T, a, b string) {
	t.Helper()
	for _, name := range []string{"points.csv", "points.jsonl", "pareto.svg"} {
		x, err := os.ReadFile(filepath.Join(s.dir, a, name))
		require.NoError(t, err)
		y, err := os.ReadFile(filepath.Join(s.dir, b, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(x, y), "%s of %s and %s differ", name, a, b)
	}
	text, err := os.ReadFile(filepath.Join(s.dir, b, "manifest.json"))
	require.NoError(t, err)
	var m struct {
		Points int `json:"points"`
		Done   int `json:"points_done"`
	}
	require.NoError(t, json.Unmarshal(text, &m))
	require.Equal(t, 12, m.Points)
	require.Equal(t, 12, m.Done)
}

func last(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

func TestSlurmArray(t *testing.T) {
	s := newSite(t)
	text, err := os.ReadFile("sweep.sbatch")
	require.NoError(t, err)
	array := regexp.MustCompile(`(?m)^#SBATCH --array=0-(\d+)$`).FindSubmatch(text)
	require.NotNil(t, array)
	high, err := strconv.Atoi(string(array[1]))
	require.NoError(t, err)
	task := func(id, count int) {
		out := s.run(t, []string{
			"SLURM_ARRAY_TASK_ID=" + strconv.Itoa(id), "SLURM_ARRAY_TASK_COUNT=" + strconv.Itoa(count),
			"SLURM_ARRAY_TASK_MIN=0", "SLURM_ARRAY_TASK_MAX=" + strconv.Itoa(high), "SLURM_ARRAY_TASK_STEP=1",
		}, "bash", "sweep.sbatch")
		require.Equal(t, filepath.Join(s.dir, "runs", "shard-"+strconv.Itoa(id)), last(out))
	}
	for id := range high + 1 {
		if id != 3 && id != 5 { // these two are killed before they begin
			task(id, high+1)
		}
	}
	folders, err := filepath.Glob(filepath.Join(s.dir, "runs", "shard-*"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "meshnic"), append([]string{"report", "--dir", filepath.Join(s.dir, "runs/all"), "--merge"}, folders...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.Error(t, cmd.Run())
	require.Equal(t, 7, cmd.ProcessState.ExitCode())
	require.Contains(t, stderr.String(), "--shard 3/8, --shard 5/8")

	task(3, 2) // sbatch --array=3,5
	task(5, 2)
	folders, err = filepath.Glob(filepath.Join(s.dir, "runs", "shard-*"))
	require.NoError(t, err)
	out := s.meshnic(t, append([]string{"report", "--dir", "runs/all", "--merge"}, folders...)...)
	require.Equal(t, filepath.Join(s.dir, "runs/all"), last(out))
	s.meshnic(t, "sweep", "--plan", "plan.yaml", "--dir", "runs/here")
	s.same(t, "runs/here", "runs/all")
}

// job is what the test needs to know of a Kubernetes Job.
type job struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Spec       struct {
		CompletionMode string `yaml:"completionMode"`
		Completions    int
		Parallelism    int
		Template       struct {
			Spec struct {
				RestartPolicy string `yaml:"restartPolicy"`
				Containers    []struct {
					Command      []string
					Env          []struct{ Name, Value string }
					VolumeMounts []struct {
						Name      string
						MountPath string `yaml:"mountPath"`
					} `yaml:"volumeMounts"`
				}
				Volumes []struct{ Name string }
			}
		}
	}
}

func TestKubernetesIndexedJob(t *testing.T) {
	text, err := os.ReadFile("job.yaml")
	require.NoError(t, err)
	var j job
	require.NoError(t, yaml.Unmarshal(text, &j))
	require.Equal(t, []string{"batch/v1", "Job", "Indexed"}, []string{j.APIVersion, j.Kind, j.Spec.CompletionMode})
	require.Contains(t, []string{"Never", "OnFailure"}, j.Spec.Template.Spec.RestartPolicy)
	require.Len(t, j.Spec.Template.Spec.Containers, 1)
	c := j.Spec.Template.Spec.Containers[0]

	// The pod's folders are folders of the site.
	s := newSite(t)
	at := map[string]string{"/plan": s.dir, "/runs": filepath.Join(s.dir, "pods")}
	require.Len(t, c.VolumeMounts, len(at))
	for i, m := range c.VolumeMounts {
		require.Contains(t, at, m.MountPath)
		require.Equal(t, j.Spec.Template.Spec.Volumes[i].Name, m.Name)
	}
	command := append([]string(nil), c.Command...)
	for i := range command {
		for mount, dir := range at {
			command[i] = strings.ReplaceAll(command[i], mount+"/", dir+"/")
		}
	}
	var env []string
	for _, e := range c.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	require.Contains(t, env, "JOB_COMPLETIONS="+strconv.Itoa(j.Spec.Completions))
	var folders []string
	for i := range j.Spec.Completions {
		index := "JOB_COMPLETION_INDEX=" + strconv.Itoa(i)
		folders = append(folders, last(s.run(t, append([]string{index}, env...), command[0], command[1:]...)))
	}
	s.meshnic(t, append([]string{"report", "--dir", "runs/all", "--merge"}, folders...)...)
	s.meshnic(t, "sweep", "--plan", "plan.yaml", "--dir", "runs/here")
	s.same(t, "runs/here", "runs/all")
}

// The README's own plan: a part of it, of which every point can be built.
func TestPlan(t *testing.T) {
	s := newSite(t)
	plan, err := os.ReadFile("plan.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "plan.yaml"), plan, 0o644))
	out := s.meshnic(t, "sweep", "--plan", "plan.yaml", "--shard", "0/27", "--dir", "runs/some")
	require.Regexp(t, `(?m)^8 of 216 points; `, out)
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), ": 216 points.")
}
