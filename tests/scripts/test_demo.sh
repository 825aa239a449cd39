#!/bin/bash
# The demonstration passes on its photos, and fails when the photos do not show whom it claims.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1

build=${FM_BUILD:-build/release}
check "the demonstration's answers are right" quietly scripts/demo.sh "$build"
check "it shows a match" grep -qE '^ +sample1.jpg .* match +Anna' "$scratch/log"
check "it shows a stranger" grep -qE '^ +sample4.jpg .* unknown +-' "$scratch/log"

mkdir "$scratch/photos"
cp build/demo/*.jpg "$scratch/photos"
cp build/demo/sample2.jpg "$scratch/photos/sample1.jpg"
refused "it fails when Anna is not in the photo" "expected Anna" scripts/demo.sh "$build" "$scratch/photos"
exit $failed
