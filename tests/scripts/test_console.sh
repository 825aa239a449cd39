#!/bin/bash
# The web console in a browser, where Debian's chromium and chromium-driver are installed.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

build=${FM_BUILD:-$root/build/release}
photo=$root/build/demo/sample4.jpg
if ! command -v chromedriver >/dev/null || ! command -v chromium >/dev/null; then
	echo "skip - console: chromium and chromium-driver are not installed"
	exit 0
fi
if [ ! -e "$photo" ] || [ ! -e "$root/build/models/fr_feature.onnx" ]; then
	echo "skip - console: make models demo-photos fetches what it needs"
	exit 0
fi
printf '[workers]\ncount = 2\n' >"$scratch/conf"
"$build/facematchd" --config "$scratch/conf" --listen 127.0.0.1:0 --port-file "$scratch/port" --gallery "$scratch/gallery.db" \
	--models "$root/build/models" 2>"$scratch/log" &
daemon=$!
trap 'kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null; rm -rf "$scratch"' EXIT
for ((i = 0; i < 2400 && $(stat -c %s "$scratch/port" 2>/dev/null || echo 0) == 0; i++)); do sleep 0.1; done
"$root/tests/console/console.py" "http://127.0.0.1:$(cat "$scratch/port")/" "$photo" ${CONSOLE_PICTURE:+"$CONSOLE_PICTURE"} || failed=1
exit "$failed"
