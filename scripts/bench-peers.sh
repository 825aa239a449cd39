#!/bin/bash
# facematchd, ONNX Runtime and OpenCV on the same networks on this machine, in turns: sets up what that needs, then
# runs tests/bench/peers.py, which says more. docs/BENCHMARKS.md tells how to read it.
#
#   scripts/bench-peers.sh [BUILD_DIR] [--json]      ROUNDS=7 SECONDS_EACH=0.4 CPU=
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-deps.sh bench-peers >&2
scripts/fetch-models.sh build/models >&2
scripts/fetch-demo-photos.sh build/demo >&2
scripts/fetch-onnxruntime.sh

exec tests/bench/peers.py "$@"
