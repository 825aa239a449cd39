#!/bin/bash
# Fetches the photos of `make demo` into DIR (default build/demo): six group photos, out of an npm package.
set -euo pipefail

dir=$(realpath -m "${1:-build/demo}")
cd "$(dirname "$0")/.."
scripts/npm-fetch.sh @vladmandic/face-api@1.7.15 \
	0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031 "$dir" <<'LIST'
8ecae4b267b2d3169e06e00c7dee97097aa2a94635d45216f7732a5f4943cb51 demo/sample1.jpg
7d2b60ae6f13bf30f422e04df87451081a02c83de469056f25afb44b7000c691 demo/sample2.jpg
8eb081c9efb14370fa94d9feab9e5fbeafd19a627491853a80c2bf67f7ffa936 demo/sample3.jpg
729efa5923061d40eb4ed5f267a18cc7b8ba6f852bb2757b16d8b7e4937476fc demo/sample4.jpg
6d45095ebb182d8f975c0790e0e4eefd86fbb40609cf4b271776d92e12662938 demo/sample5.jpg
9baad80f9d5e306fb9b8c0913d44445f1e95848df317530efb03d0934c57ba87 demo/sample6.jpg
LIST
