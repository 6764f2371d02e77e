#!/bin/sh
# Runs every fuzz target of the module for T (a Go duration) each, one worker each, and
# three times as many side by side as there are cores: between two there is compiling to wait for.
set -eu
: "${GO:=go}" "${T:=20s}"
export GO T
targets=$($GO list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./... | while read -r pkg dir; do
	[ -n "$pkg" ] || continue
	sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\)(.*|$pkg \1|p" "$dir"/*_test.go
done)
echo "$(echo "$targets" | wc -l) fuzz targets, $T each"
# At the end of its time the engine sometimes reports its own deadline as a failure
# of the target; a real one has written its input.
# shellcheck disable=SC2016
echo "$targets" | xargs -L 1 -P "$((3 * $(nproc)))" sh -c '
	if out=$($GO test -run "^$" -fuzz "^$2\$" -fuzztime "$T" -fuzzminimizetime 5x -parallel 1 "$1" 2>&1) ||
		{ echo "$out" | grep -q "^    context deadline exceeded$" && ! echo "$out" | grep -q "Failing input written"; }; then
		echo "ok $1 $2: $(echo "$out" | sed -n "s/^fuzz: elapsed: //p" | tail -n 1)"
	else
		echo "FAIL $1 $2"; echo "$out"; exit 255
	fi' fuzz
