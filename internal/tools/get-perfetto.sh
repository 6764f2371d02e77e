#!/bin/sh
# Puts Perfetto's own schema (PyPI package perfetto) into a virtual environment
# inside the checkout, for the tests that read a timeline with it. Never fails the
# build: without it those tests are skipped. The package's trace_processor is no part
# of it but a download from elsewhere; MESHNIC_TRACE_PROCESSOR may name one.
set -u
dir=$1
[ -x "$dir/bin/python3" ] && "$dir/bin/python3" -c 'import perfetto.protos.perfetto.trace.perfetto_trace_pb2' 2>/dev/null && exit 0
absent() {
	rm -rf "$dir"
	echo "perfetto: $1: timelines are not read with its schema" >&2
	exit 0
}
command -v python3 >/dev/null || absent "no python3 on PATH"
mkdir -p .env
rm -rf "$dir"
python3 -m venv --without-pip "$dir" 2>.env/log || absent "python3 -m venv failed: $(tail -n 1 .env/log)"
site=$(ls -d "$dir"/lib/python3*/site-packages)
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$site" "perfetto==0.59.1" "protobuf==7.36.2" 2>.env/log ||
	absent "pip install failed: $(tail -n 1 .env/log)"
