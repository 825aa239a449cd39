#!/bin/sh
# ONNX Runtime against what `facematchctl model quantize` writes: it must load each file, and compute what we compute
# of it in float32, within 1e-4 of each output's largest value (of 0.01 where that is smaller).
# With static activations, where roundings spread, at a cosine of 0.98.
#
#   scripts/check-quantized.sh [BUILD] [NETWORK.onnx…]      build/release, and the default networks
set -eu
cd "$(dirname "$0")/.."

ort_version=1.30.0
build=${1:-build/release}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- build/models/fr_detect.onnx build/models/fr_landmark.onnx build/models/fr_feature.onnx

if [ ! -x "$build/facematchctl" ]; then
	echo "check-quantized: $build/facematchctl is not there (make)" >&2
	exit 1
fi
if ! grep -qs "\"version\": \"$ort_version\"" build/npm/node_modules/onnxruntime-node/package.json; then
	npm install --silent --ignore-scripts --no-audit --no-fund --no-save --no-package-lock --prefix build/npm \
		"onnxruntime-node@$ort_version"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node scripts/check-quantized.mjs "$build/facematchctl" "$work" "$@"
