#!/bin/bash
# Unpacks what a build for aarch64 needs into DIR (default build/cache/arm64): the C library and every library that
# facematchd links to, out of Debian's own arm64 packages, fetched by name and with what they depend on.
#
#   scripts/arm64-sysroot.sh [DIR]
#
# apt works on a state of its own below DIR: nothing is installed, and the machine's dpkg does not learn of arm64.
# The packages come from where the machine's come from, checked against the same keys.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(realpath -m "${1:-build/cache/arm64}")
packages="libc6-dev libprotobuf-c-dev libjpeg62-turbo-dev libspng-dev libwebp-dev libsqlite3-dev libsodium-dev nettle-dev uuid-dev
	libinih-dev libmicrohttpd-dev libgnutls28-dev libjansson-dev libsystemd-dev libcurl4-gnutls-dev"
packages=$(tr -s ' \t\n' ' ' <<<"$packages")

! [ "$(cat "$dir/complete" 2>/dev/null)" = "$packages" ] || exit 0
for tool in apt-get dpkg-deb; do
	command -v "$tool" >/dev/null || {
		echo "arm64-sysroot.sh: no $tool: this needs a Debian system" >&2
		exit 1
	}
done

rm -rf "$dir"
mkdir -p "$dir"/apt/{state/lists/partial,cache/archives/partial} "$dir"/sysroot/usr/{bin,sbin,lib}
: >"$dir/apt/status"
apt() {
	apt-get -q -o Dir::State="$dir/apt/state" -o Dir::State::status="$dir/apt/status" -o Dir::Cache="$dir/apt/cache" \
		-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User= "$@"
}
echo "Fetching Debian's arm64 packages into $dir"
# shellcheck disable=SC2086
if ! { apt update && apt install -y --no-install-recommends --download-only $packages; } >"$dir/apt/log" 2>&1; then
	tail -n 20 "$dir/apt/log" >&2
	echo "arm64-sysroot.sh: apt could not fetch them" >&2
	exit 1
fi

# As on an installed system: /lib is /usr/lib.
ln -s usr/bin usr/sbin usr/lib "$dir/sysroot"
find "$dir/apt/cache/archives" -name '*.deb' -print0 | xargs -0 -P "$(nproc)" -I{} dpkg-deb -x {} "$dir/sysroot"
rm -rf "$dir/apt"
echo "$packages" >"$dir/complete"
