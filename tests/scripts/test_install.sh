#!/bin/bash
# make install puts everything where a package would, and uninstall takes away what install put there.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1
unset MAKEFLAGS MAKELEVEL MFLAGS

stage=$scratch/stage
variant=${FM_BUILD:-build/release}
run_make() {
	quietly make --no-print-directory VARIANT="${variant##*/}" DESTDIR="$stage" "$@"
}
prefix=$stage/usr/local

check "installs" run_make install
check "the daemon runs" quietly "$prefix/sbin/facematchd" --version
check "facematchctl runs" quietly "$prefix/bin/facematchctl" --version
for network in fr_detect fr_landmark fr_feature; do
	check "$network is there with its manifest" \
		[ -s "$prefix/share/facematchd/models/$network.onnx" -a -s "$prefix/share/facematchd/models/$network.conf" ]
done
check "manual pages" [ -s "$prefix/share/man/man8/facematchd.8" -a -s "$prefix/share/man/man1/facematchctl.1" \
	-a -s "$prefix/share/man/man5/facematchd.conf.5" ]
conf=$prefix/etc/facematchd/facematchd.conf
check "the installed configuration is good" \
	quietly env FACEMATCH_MODELS="$prefix/share/facematchd/models" "$prefix/sbin/facematchd" --config "$conf" --check-config
unit=$prefix/lib/systemd/system/facematchd.service
check "the unit starts what was installed" grep -q '^ExecStart=/usr/local/sbin/facematchd --config /usr/local/etc/facematchd/' "$unit"
if command -v systemd-analyze >/dev/null; then
	# Manual pages of an uninstalled tree cannot be found, and the binary lies below the stage.
	sed "s|/usr/local|$prefix|g; /^Documentation/d" "$unit" >"$scratch/facematchd.service"
	check "systemd accepts the unit" systemd-analyze verify "$scratch/facematchd.service"
else
	echo "skip - systemd accepts the unit (no systemd-analyze)"
fi

echo "# mine" >>"$conf"
check "installs again" run_make install
check "an edited configuration stays" grep -qx "# mine" "$conf"
check "uninstalls" run_make uninstall
check "the configuration alone is left" [ "$(find "$stage" -type f)" = "$conf" ]
exit $failed
