#!/bin/sh
# Makes tests/data/reference anew: the default networks' outputs as ONNX Runtime computes them, for the inputs of
# tests/unit/nn/test_networks.c (a pattern, and crops of the demo photos, which are not stored). Needs the networks in
# build/models and the photos in build/demo; installs npm's onnxruntime-node, pinned, under build/npm.
set -eu
cd "$(dirname "$0")/.."

build=${1:-build/release}
inputs=$(mktemp -d)
trap 'rm -rf "$inputs"' EXIT

for file in build/models/fr_detect.onnx build/models/fr_landmark.onnx build/models/fr_feature.onnx build/demo/sample3.jpg; do
	if [ ! -f "$file" ]; then
		echo "make-reference: $file is not there (scripts/fetch-models.sh, scripts/fetch-demo-photos.sh)" >&2
		exit 1
	fi
done
scripts/fetch-onnxruntime.sh
make "$build/tests/unit/nn/test_networks"
FM_REFERENCE_INPUTS="$inputs" "$build/tests/unit/nn/test_networks" --filter 'networks/float32_agrees_with_onnx_runtime'
NODE_PATH=build/npm/node_modules node scripts/make-reference.mjs "$inputs" build/models tests/data/reference

# Networks that are not ours to ship: where FM_SHARED_DATA names the folder that tests/unit/nn/test_shared_networks.c
# looks for.
if [ -n "${FM_SHARED_DATA:-}" ]; then
	rm -f "$inputs"/*
	make "$build/tests/unit/nn/test_shared_networks"
	FM_REFERENCE_INPUTS="$inputs" "$build/tests/unit/nn/test_shared_networks" --filter 'shared_networks/float32*'
	NODE_PATH=build/npm/node_modules node scripts/make-reference.mjs "$inputs" "$FM_SHARED_DATA/models" tests/data/reference
fi
