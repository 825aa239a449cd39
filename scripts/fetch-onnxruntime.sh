#!/bin/sh
# npm's onnxruntime-node, pinned, under build/npm: what this engine is compared with. Does nothing when it is there.
#
#   scripts/fetch-onnxruntime.sh
set -eu
cd "$(dirname "$0")/.."
version=1.30.0

if grep -qs "\"version\": \"$version\"" build/npm/node_modules/onnxruntime-node/package.json; then
	exit 0
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	echo "fetch-onnxruntime: node and npm are not there (scripts/install-deps.sh models)" >&2
	exit 1
fi
echo "Installing onnxruntime-node $version under build/npm" >&2
mkdir -p build/npm
# Its install script would fetch CUDA libraries from elsewhere; the CPU library is in the package.
npm install --silent --ignore-scripts --no-audit --no-fund --no-save --no-package-lock --prefix build/npm \
	"onnxruntime-node@$version" >&2
