#!/bin/bash
# Takes named files out of a pinned npm package and trusts nothing that a checksum does not vouch for.
#
#   scripts/npm-fetch.sh PACKAGE@VERSION TARBALL_SHA256 DIR <<< "SHA256 path/in/package..."
#
# Each file lands in DIR under its own last name. Files that are there and right are left alone, and nothing is
# asked of the network when all are. The tarball is kept in FM_CACHE (default build/cache). Either every file is
# put in place or none: on a wrong checksum the tarball and whatever was unpacked from it are removed.
set -euo pipefail
export LC_ALL=C

[ $# -eq 3 ] || {
	echo "usage: npm-fetch.sh PACKAGE@VERSION TARBALL_SHA256 DIR < list of 'SHA256 path'" >&2
	exit 2
}
spec=$1 tarball_sha256=$2 dir=$3
cache=${FM_CACHE:-build/cache}
name=${spec#@}
tarball=$cache/$(tr / - <<<"${name%@*}")-${spec##*@}.tgz

fail() {
	echo "npm-fetch.sh: $*" >&2
	exit 1
}
sum_of() {
	local sum
	sum=$(sha256sum <"$1")
	echo "${sum%% *}"
}

sums=() paths=()
while read -r sum path; do
	[ -n "$path" ] || continue
	sums+=("$sum")
	paths+=("$path")
done
[ ${#paths[@]} -gt 0 ] || fail "no files were asked for"

wanted=
for i in "${!paths[@]}"; do
	file=$dir/${paths[i]##*/}
	[ -f "$file" ] && [ "$(sum_of "$file")" = "${sums[i]}" ] && continue
	if [ -e "$file" ]; then
		echo "$file does not have its checksum, fetching it again"
		rm -f "$file"
	fi
	wanted=yes
done
[ -n "$wanted" ] || exit 0

mkdir -p "$cache" "$dir"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"; rmdir "$dir" 2>/dev/null || true' EXIT

if [ -f "$tarball" ] && [ "$(sum_of "$tarball")" != "$tarball_sha256" ]; then
	rm -f "$tarball"
fi
if [ ! -f "$tarball" ]; then
	command -v npm >/dev/null || fail "npm is missing: run scripts/install-deps.sh models"
	echo "Fetching $spec from the npm registry"
	mkdir "$work/pack"
	npm pack --silent --ignore-scripts --cache "$work/npm" --pack-destination "$work/pack" "$spec" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		fail "npm could not fetch $spec"
	}
	packed=$(find "$work/pack" -name '*.tgz')
	[ -f "$packed" ] || fail "npm fetched $spec but left no tarball"
	sum=$(sum_of "$packed")
	[ "$sum" = "$tarball_sha256" ] ||
		fail "wrong checksum: the tarball of $spec has sha256 $sum, expected $tarball_sha256; nothing was kept"
	mv "$packed" "$tarball"
fi

mkdir "$work/out"
tar -xzf "$tarball" -C "$work/out" "${paths[@]/#/package/}" || fail "$tarball lacks a file that was asked for"
for i in "${!paths[@]}"; do
	sum=$(sum_of "$work/out/package/${paths[i]}")
	if [ "$sum" != "${sums[i]}" ]; then
		rm -f "$tarball"
		fail "wrong checksum: ${paths[i]} of $spec has sha256 $sum, expected ${sums[i]}; nothing was kept"
	fi
done
for path in "${paths[@]}"; do
	# Renaming is atomic only within a file system, and the cache may be on another one.
	cp "$work/out/package/$path" "$dir/.${path##*/}.new"
	chmod 644 "$dir/.${path##*/}.new"
	mv "$dir/.${path##*/}.new" "$dir/${path##*/}"
done
