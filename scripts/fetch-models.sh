#!/bin/bash
# Fetches the default networks into DIR (default build/models). Licence and provenance: README.md.
set -euo pipefail

dir=$(realpath -m "${1:-build/models}")
cd "$(dirname "$0")/.."
scripts/npm-fetch.sh faceplugin-face-recognition-js@0.0.1 \
	7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba "$dir" <<'LIST'
6c0256ccd3164f844736a401faf936ec2930764a87ae39442180887d0c5c8854 model/fr_detect.onnx
f10b0ba1d2a8a099adefede1ebf3733e44fe370715e7303dbeb7f59c02142258 model/fr_landmark.onnx
87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581 model/fr_feature.onnx
LIST
