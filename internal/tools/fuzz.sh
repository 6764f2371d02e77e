#!/bin/sh
# Runs every fuzz target of the module for T (a Go duration) each, one by one.
set -eu
: "${GO:=go}" "${T:=20s}"
$GO list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./... | while read -r pkg dir; do
	[ -n "$pkg" ] || continue
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go); do
		echo "fuzz $pkg $target $T"
		$GO test -run '^$' -fuzz "^$target\$" -fuzztime "$T" -fuzzminimizetime 5x "$pkg"
	done
done
