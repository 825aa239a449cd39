#!/bin/bash
# One embedding by us and by ONNX Runtime on this machine: one thread each, denormals flushed on both sides, in turns,
# so that whatever else the machine does falls on both.
#
#   scripts/bench-peers.sh [BUILD_DIR]      ROUNDS=5 SECONDS_EACH=2
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-2}
network=build/models/fr_feature.onnx
ort_version=1.30.0

scripts/fetch-models.sh build/models
if [ ! -f "build/npm/node_modules/onnxruntime-node/package.json" ] ||
	! grep -q "\"version\": \"$ort_version\"" build/npm/node_modules/onnxruntime-node/package.json; then
	scripts/install-deps.sh models
	echo "Installing onnxruntime-node $ort_version under build/npm"
	mkdir -p build/npm
	# Its install script would fetch CUDA libraries from elsewhere; the CPU library is in the package.
	npm install --silent --ignore-scripts --no-audit --no-fund --no-save --no-package-lock --prefix build/npm \
		"onnxruntime-node@$ort_version"
fi

ort() { # prints the median in ms
	NODE_PATH=build/npm/node_modules node - "$network" "$seconds" <<'JS'
const ort = require('onnxruntime-node');
const [network, seconds] = process.argv.slice(2);
(async () => {
	const session = await ort.InferenceSession.create(network, {
		intraOpNumThreads: 1,
		interOpNumThreads: 1,
		executionMode: 'sequential',
		graphOptimizationLevel: 'all',
		extra: { session: { set_denormal_as_zero: '1' } },
	});
	const input = new Float32Array(3 * 112 * 112);
	let state = 1;
	for (let i = 0; i < input.length; i++) {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		input[i] = (state / 2 ** 32) * 2 - 1;
	}
	const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', input, [1, 3, 112, 112]) };
	for (let i = 0; i < 5; i++) await session.run(feeds);
	const times = [];
	const end = performance.now() + seconds * 1000;
	while (performance.now() < end || times.length < 5) {
		const begin = performance.now();
		await session.run(feeds);
		times.push(performance.now() - begin);
	}
	times.sort((a, b) => a - b);
	console.log(times[times.length >> 1].toFixed(3));
})();
JS
}
ours() { # PRECISION: prints the median in ms
	"$build/facematchctl" bench net "$network" --precision "$1" --threads 1 --seconds "$seconds" --json |
		sed -n 's/.*"median_ms": *\([0-9.]*\).*/\1/p' | xargs printf '%.3f\n'
}
median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

isa=$("$build/facematchctl" bench net "$network" --precision int8 --seconds 0.1 --json |
	sed -n 's/.*"isa": *"\([a-z0-9]*\)".*/\1/p')
echo "fr_feature, one embedding, one thread, $rounds rounds of $seconds s each, in turns"
sed -n 's/^model name[^:]*: /processor: /p' /proc/cpuinfo | head -n 1
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
printf '%8s %22s %22s %22s\n' round "ONNX Runtime float32" "facematchd float32" "facematchd int8"
for ((round = 1; round <= rounds; round++)); do
	a=$(ort) b=$(ours float32) c=$(ours int8)
	printf '%8d %19s ms %19s ms %19s ms\n' "$round" "$a" "$b" "$c"
	echo "$a" >>"$results/ort"
	echo "$b" >>"$results/float32"
	echo "$c" >>"$results/int8"
	awk -v a="$a" -v c="$c" 'BEGIN { print a / c }' >>"$results/ratio"
done
printf '%8s %19s ms %19s ms %19s ms\n' median "$(median <"$results/ort")" "$(median <"$results/float32")" "$(median <"$results/int8")"
printf 'ONNX Runtime %s float32 takes %.2f times as long as facematchd int8 (%s): median of the rounds'"'"' ratios\n' \
	$ort_version "$(median <"$results/ratio")" "$isa"
