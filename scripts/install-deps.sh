#!/bin/bash
# Installs the Debian packages that a purpose needs, and only those that are missing.
#
#   scripts/install-deps.sh [build|models|test|contract|demo|coverage|fuzz|valgrind|format|arm64|bench|bench-peers]...  (default: build)
#
# Not root and no sudo: says what it would install and stops. FM_NO_INSTALL=1: checks and says, never installs.
# Exit status: 0 when everything is there at the end.
set -euo pipefail

# One word a need: alternatives by "|", the first is installed when none is there; "name?command" is met by that
# command as well, wherever it came from.
build="gcc?gcc libc6-dev make?make pkg-config?pkg-config libonnx-dev protobuf-c-compiler?protoc-c
	libprotobuf-c-dev libjpeg62-turbo-dev libspng-dev libwebp-dev libsqlite3-dev libsodium-dev nettle-dev uuid-dev libinih-dev
	libmicrohttpd-dev libgnutls28-dev libjansson-dev libsystemd-dev libcurl4-gnutls-dev|libcurl4-openssl-dev"
models="npm?npm ca-certificates"
needs_of() {
	case $1 in
	build) echo "$build" ;;
	models) echo "$models" ;;
	test) echo "$build $models curl?curl openssl?openssl libcriterion-dev" ;;
	# What tests use where it is there, and skip where it is not.
	contract) echo "python3-jsonschema prometheus?promtool chromium?chromium chromium-driver?chromedriver" ;;
	demo) echo "$build $models curl?curl" ;;
	coverage) echo "$(needs_of test) gcovr?gcovr" ;;
	fuzz) echo "$build clang?clang" ;;
	valgrind) echo "$build $models curl?curl valgrind?valgrind" ;;
	arm64) echo "$build $models gcc-aarch64-linux-gnu?aarch64-linux-gnu-gcc qemu-user?qemu-aarch64" ;;
	cpus) echo "$build $models curl?curl qemu-user?qemu-x86_64" ;;
	format) echo "clang-format?clang-format" ;;
	bench) echo "$build $models python3?/usr/bin/python3" ;;
	bench-peers) echo "$(needs_of bench) python3-opencv python3-onnx python3-numpy python3-faiss libopenblas0" ;;
	*)
		echo "install-deps.sh: unknown purpose '$1' (build models test contract demo coverage fuzz valgrind format arm64 cpus bench bench-peers)" >&2
		exit 2
		;;
	esac
}

installed() {
	[ "$(dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | head -n 1)" = installed ]
}

# Prints the package to install for a need, or nothing when the need is met.
missing_for() {
	local need=${1%%\?*} command=
	[ "$need" = "$1" ] || command=${1#*\?}
	[ -z "$command" ] || ! command -v "$command" >/dev/null || return 0
	local package
	for package in ${need//|/ }; do
		! installed "$package" || return 0
	done
	echo "${need%%|*}"
}

[ $# -gt 0 ] || set -- build
needs=
for purpose in "$@"; do
	needs+=" $(needs_of "$purpose")"
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "install-deps.sh: this is not a Debian system. Install what these Debian packages hold:" >&2
	tr -s ' \t\n' '\n' <<<"$needs" | sed 's/[?|].*//; /^$/d; s/^/  /' | sort -u >&2
	echo "then run make with FM_NO_INSTALL=1." >&2
	[ -n "${FM_NO_INSTALL:-}" ]
	exit
fi

missing=()
for need in $(tr -s ' \t\n' '\n' <<<"$needs" | sort -u); do
	package=$(missing_for "$need")
	[ -z "$package" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	as_root=(sudo)
fi
if [ -n "${FM_NO_INSTALL:-}" ] || { [ ${#as_root[@]} -gt 0 ] && ! command -v sudo >/dev/null; }; then
	echo "install-deps.sh: these Debian packages are missing:" >&2
	printf '  %s\n' "${missing[@]}" >&2
	echo "Not installing them (not root and no sudo, or FM_NO_INSTALL is set). As root:" >&2
	echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi

echo "Installing Debian packages: ${missing[*]}"
apt() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}
install() {
	apt install -y --no-install-recommends "${missing[@]}"
}
# The package lists are refreshed only when they do not know a package, or are too old to fetch it by.
known=yes
for package in "${missing[@]}"; do
	apt-cache show "$package" >/dev/null 2>&1 || known=
done
if [ -z "$known" ] || ! install; then
	apt update
	install
fi
