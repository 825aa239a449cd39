#!/bin/bash
# Builds for aarch64, runs that under qemu-user, and asks it for the same bits as the build of this machine.
#
#   scripts/check-arm64.sh BUILD_DIR        BUILD_DIR: of this machine, with facematchctl
#
# 1. The kernel tests, every row of the ISA table against scalar, on three emulated processors: those of the
#    Raspberry Pi 3, 4 and 5.
# 2. Every network in build/models, and in models below FM_SHARED_DATA where that is set, int8 and float32, fed with a
#    fixed pattern: scalar, neon and neondot give the bytes that this machine gives.
# 3. The photos in build/demo, where they are: decoding, detection, alignment and embedding give the same text.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
native=${1:-build/release}
cross=build/arm64
sysroot=$PWD/build/cache/arm64/sysroot

scripts/arm64-sysroot.sh build/cache/arm64
PKG_CONFIG_LIBDIR=$sysroot/usr/lib/aarch64-linux-gnu/pkgconfig:$sysroot/usr/share/pkgconfig \
	PKG_CONFIG_SYSROOT_DIR=$sysroot \
	make --no-print-directory -j"$(nproc)" VARIANT=arm64 SANITIZE= CC="aarch64-linux-gnu-gcc --sysroot=$sysroot" \
	AR=aarch64-linux-gnu-ar all plain-tests

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
ok() {
	echo "ok - $1"
}
not_ok() {
	echo "not ok - $1"
	failures=$((failures + 1))
}
# on CPU CAP COMMAND...: runs an aarch64 program.
on() {
	FACEMATCH_ISA=$2 qemu-aarch64 -cpu "$1" -L "$sysroot" "${@:3}"
}

for cpu in cortex-a53 cortex-a72 cortex-a76; do
	for test in "$cross"/tests/plain/kernels/test_*[a-z0-9]; do
		[ -x "$test" ] || continue
		if on "$cpu" "" "$test" >"$work/log" 2>&1; then
			ok "$cpu $(basename "$test"): $(tail -n 1 "$work/log")"
		else
			not_ok "$cpu $(basename "$test")"
			cat "$work/log"
		fi
	done
done

# A NumPy file of bytes in the shape AxBxCxD. The pattern's length is prime, so rows and channels differ.
pattern=
seed=1
for ((i = 0; i < 4093; i++)); do
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	printf -v octal '\\%03o' $((seed >> 16 & 255))
	pattern+=$octal
done
write_pattern() {
	local dims=${1//x/, } elements=$((${1//x/*}))
	printf '\223NUMPY\1\0\166\0%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': ($dims), }"
	for ((i = 0; i < elements; i += 4093)); do
		# shellcheck disable=SC2059
		printf "$pattern"
	done | head -c "$elements" || true
}

# rows_agree MODEL PRECISION: its output under every row and on two processors, against that of this machine.
rows_agree() {
	local name precision=$2 row
	name=$(basename "$1" .onnx)
	rm -rf "$work/x86" && mkdir "$work/x86"
	"$native/facematchctl" model run "$1" --input "$work/in.npy" --output "$work/x86/y.npy" --precision "$precision"
	for row in cortex-a53:scalar cortex-a53:neon cortex-a76:neon cortex-a76:neondot; do
		rm -rf "$work/arm" && mkdir "$work/arm"
		if on "${row%:*}" "${row#*:}" "$cross/facematchctl" model run "$1" --input "$work/in.npy" \
			--output "$work/arm/y.npy" --precision "$precision" && diff -rq "$work/x86" "$work/arm"; then
			ok "$name $precision ${row/:/ }: $(cat "$work"/x86/* | wc -c) bytes as here"
		else
			not_ok "$name $precision ${row/:/ }"
		fi
	done
}

for model in build/models/*.onnx ${FM_SHARED_DATA:+"$FM_SHARED_DATA"/models/*.onnx}; do
	if ! "$native/facematchctl" model inspect "$model" >"$work/inspect" 2>&1; then
		echo "skip - $(cat "$work/inspect")"
		continue
	fi
	write_pattern "$(awk '$1 == "input" { print $3; exit }' "$work/inspect")" >"$work/in.npy"
	rows_agree "$model" int8
	rows_agree "$model" float32
done

# No cap: each processor takes the best that it has, and must say so.
for row in cortex-a53:neon cortex-a72:neon cortex-a76:neondot; do
	isa=$(on "${row%:*}" "" "$cross/facematchctl" bench net build/models/fr_landmark.onnx --seconds 0.01 --json |
		sed 's/.*"isa":"\([a-z0-9]*\)".*/\1/')
	if [ "$isa" = "${row#*:}" ]; then
		ok "${row%:*} runs $isa"
	else
		not_ok "${row%:*} runs $isa and not ${row#*:}"
	fi
done

for photo in build/demo/*.jpg; do
	[ -e "$photo" ] || { echo "skip - photos: none in build/demo" && break; }
	"$native/facematchctl" --models build/models embed "$photo" >"$work/x86.json"
	for row in cortex-a53:neon cortex-a76:neondot; do
		if on "${row%:*}" "${row#*:}" "$cross/facematchctl" --models build/models embed "$photo" >"$work/arm.json" &&
			cmp "$work/x86.json" "$work/arm.json"; then
			ok "$photo ${row/:/ }: $(wc -l <"$work/x86.json") faces as here"
		else
			not_ok "$photo ${row/:/ }"
		fi
	done
done

echo "$failures failed"
[ "$failures" -eq 0 ]
