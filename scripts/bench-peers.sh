#!/bin/bash
# facematchd, ONNX Runtime and OpenCV on the same networks on this machine, in turns: sets up what that needs, then
# runs tests/bench/peers.py, which says more. docs/BENCHMARKS.md tells how to read it.
#
#   scripts/bench-peers.sh [BUILD_DIR] [--json]      ROUNDS=7 SECONDS_EACH=0.4 CPU=
set -euo pipefail
cd "$(dirname "$0")/.."
ort_version=1.30.0

scripts/install-deps.sh bench-peers >&2
scripts/fetch-models.sh build/models >&2
scripts/fetch-demo-photos.sh build/demo >&2
if ! grep -qs "\"version\": \"$ort_version\"" build/npm/node_modules/onnxruntime-node/package.json; then
	echo "Installing onnxruntime-node $ort_version under build/npm" >&2
	mkdir -p build/npm
	# Its install script would fetch CUDA libraries from elsewhere; the CPU library is in the package.
	npm install --silent --ignore-scripts --no-audit --no-fund --no-save --no-package-lock --prefix build/npm \
		"onnxruntime-node@$ort_version" >&2
fi

exec tests/bench/peers.py "$@"
