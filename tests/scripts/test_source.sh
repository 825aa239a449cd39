#!/bin/bash
# This tree keeps the house rules.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

options=()
if [ -d "${FM_BUILD:-}/lib" ]; then
	options=(--objects "$FM_BUILD")
	export CFLAGS_HEADERS=-I$FM_BUILD/gen
fi
check "the sources keep the rules of check-layers.sh" quietly "$root/scripts/check-layers.sh" "${options[@]}" "$root"
exit $failed
