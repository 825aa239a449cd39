#!/bin/sh
# ONNX Runtime against what `facematchctl model quantize` writes: it must load each file, and compute what we compute
# of it in float32, within 1e-4 of each output's largest value (of 0.01 where that is smaller).
# With static activations, where roundings spread, at a cosine of 0.98, and step by step (check-quantized-steps.py)
# where python3-onnx is there. Without node it says so and checks nothing.
#
#   scripts/check-quantized.sh [BUILD] [NETWORK.onnx…]      build/release, and the default networks
set -eu
cd "$(dirname "$0")/.."

build=${1:-build/release}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- build/models/fr_detect.onnx build/models/fr_landmark.onnx build/models/fr_feature.onnx

if [ ! -x "$build/facematchctl" ]; then
	echo "check-quantized: $build/facematchctl is not there (make)" >&2
	exit 1
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	echo "check-quantized: skipped, node and npm are not there (scripts/install-deps.sh models)" >&2
	exit 0
fi
scripts/fetch-onnxruntime.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node scripts/check-quantized.mjs "$build/facematchctl" "$work" "$@"
if [ ! -d "$work/faces" ]; then
	echo "skipped: steps, for want of build/demo/sample1.jpg (make demo-photos)"
elif ! /usr/bin/python3 -c 'import numpy, onnx' 2>/dev/null; then
	echo "skipped: steps, for want of python3-onnx (scripts/install-deps.sh bench-peers)"
else
	"$build/facematchctl" model quantize --json --activations static --calibrate "$work/faces" \
		build/models/fr_feature.onnx "$work/static.onnx" >"$work/report.json"
	scripts/check-quantized-steps.py "$build/facematchctl" "$work" "$work/static.onnx"
fi
