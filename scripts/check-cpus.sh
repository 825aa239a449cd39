#!/bin/bash
# Runs the build of this x86 machine on older processors, emulated by qemu-user: no instruction that they lack, and the
# same bits.
#
#   scripts/check-cpus.sh BUILD_DIR        BUILD_DIR: with facematchd, facematchctl and plain-tests
#
# A cap (FACEMATCH_ISA) only tells which kernels run; here everything else of the programs, and the libraries, have to do
# without AVX, too. Each processor must choose the row of the ISA table that is its best, pass the kernel tests, find and
# embed the faces of a photo as this machine does, and answer over HTTP. The Haswell skips the kernel tests: masked loads
# of this emulation touch lanes that are masked out, and the tests keep guard pages there.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
build=${1:-build/release}
processors="Conroe:scalar Denverton:sse41 SandyBridge:sse41 Haswell:avx2"

if [ "$(uname -m)" != x86_64 ]; then
	echo "skip - the build is not for x86_64"
	exit 0
fi

work=$(mktemp -d)
daemon=
trap 'test -z "$daemon" || kill "$daemon" 2>/dev/null || true; rm -rf "$work"' EXIT
failures=0
ok() {
	echo "ok - $1"
}
not_ok() {
	echo "not ok - $1"
	failures=$((failures + 1))
}
# on CPU COMMAND...: without the warnings about features that the emulation itself lacks.
on() {
	qemu-x86_64 -cpu "$1" "${@:2}" 2> >(grep -v '^qemu-x86_64: warning: TCG' >&2)
}

chooses() {
	local isa
	isa=$(on "$1" "$build/facematchctl" bench net build/models/fr_landmark.onnx --seconds 0.01 --json |
		sed 's/.*"isa":"\([a-z0-9]*\)".*/\1/')
	if [ "$isa" = "$2" ]; then
		ok "$1 runs $2"
	else
		not_ok "$1 runs $2 and not $isa"
	fi
}

passes_kernel_tests() {
	local test
	for test in "$build"/tests/plain/kernels/test_*[a-z0-9]; do
		[ -x "$test" ] || continue
		if on "$1" "$test" >"$work/log" 2>&1; then
			ok "$1 $(basename "$test"): $(tail -n 1 "$work/log")"
		else
			not_ok "$1 $(basename "$test")"
			cat "$work/log"
		fi
	done
}

embeds_as_here() {
	if on "$1" "$build/facematchctl" --models build/models embed "$photo" >"$work/emulated.json" &&
		cmp "$work/here.json" "$work/emulated.json"; then
		ok "$1 $photo: $(wc -l <"$work/here.json") faces as here"
	else
		not_ok "$1 $photo"
	fi
}

# An emulated daemon answers, and ends by SIGTERM. The threads of the emulation are given ten minutes.
serves() {
	local port='' waited
	rm -rf "$work/port" "$work/gallery.db"*
	qemu-x86_64 -cpu "$1" "$build/facematchd" --config /dev/null --listen 127.0.0.1:0 --port-file "$work/port" \
		--gallery "$work/gallery.db" --models build/models 2>"$work/log" &
	daemon=$!
	for ((waited = 0; waited < 6000; waited++)); do
		[ ! -s "$work/port" ] || break
		kill -0 "$daemon" 2>/dev/null || break
		sleep 0.1
	done
	[ ! -s "$work/port" ] || port=$(cat "$work/port")
	if [ -n "$port" ] && curl -fsS --max-time 600 -F "image=@$photo" "http://127.0.0.1:$port/v1/detect" >"$work/reply" &&
		kill "$daemon" && wait "$daemon"; then
		ok "$1 serves: $(grep -o '"box"' "$work/reply" | wc -l) faces"
	else
		not_ok "$1 serves"
		grep -v 'warning: TCG' "$work/log"
	fi
	daemon=
}

photo=build/demo/sample1.jpg
"$build/facematchctl" --models build/models embed "$photo" >"$work/here.json"
for processor in $processors; do
	cpu=${processor%:*}
	chooses "$cpu" "${processor#*:}"
	[ "$cpu" = Haswell ] || passes_kernel_tests "$cpu"
	embeds_as_here "$cpu"
	serves "$cpu"
done

echo "$failures failed"
[ "$failures" -eq 0 ]
