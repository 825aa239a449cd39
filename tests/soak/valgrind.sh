#!/bin/bash
# The daemon's life under valgrind's memcheck: start, enrolment, search, verification, refusals, a reload, a backup,
# deletion, end. Fails on a leak, an uninitialised read or any other error that memcheck sees.
#
#   tests/soak/valgrind.sh BUILD_DIR
#
# Kernels run as AVX2 at most: valgrind 3.19 knows no AVX-512.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."
build=${1:-build/release}
work=$(mktemp -d)
daemon=
stop() {
	[ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null || true
	rm -rf "$work"
}
trap stop EXIT

printf '[workers]\ncount = 2\n[gallery]\nkeep_crops = yes\n' >"$work/conf"
FACEMATCH_ISA=avx2 valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect,possible \
	--errors-for-leak-kinds=definite,indirect,possible --log-file="$work/valgrind" \
	"$build/facematchd" --config "$work/conf" --listen 127.0.0.1:0 --port-file "$work/port" \
	--gallery "$work/gallery.db" --models build/models 2>"$work/log" &
daemon=$!
for ((i = 0; i < 1200; i++)); do
	[ ! -s "$work/port" ] || break
	kill -0 "$daemon" 2>/dev/null || break
	sleep 0.1
done
[ -s "$work/port" ] || { cat "$work/log" "$work/valgrind"; exit 1; }
url=http://127.0.0.1:$(cat "$work/port")

failed=0
ask() { # WANTED CURL_ARGUMENT...
	local wanted=$1 code
	shift
	code=$(curl -s -m 300 -o "$work/reply" -w '%{http_code}' "$@")
	echo "  $code ${*: -1}" | sed "s|$url||"
	if [ "$code" != "$wanted" ]; then
		echo "not ok: $wanted was expected: $(head -c 300 "$work/reply")"
		failed=1
	fi
}
photo=build/demo/sample4.jpg
ask 201 -F "image=@$photo" "$url/v1/enroll?name=Ann&face=largest"
person=$(sed 's/.*"person":{"id":"\([^"]*\)".*/\1/' "$work/reply")
ask 200 -F "image=@$photo" "$url/v1/identify"
ask 200 --data-binary "@$photo" -H 'Content-Type: image/jpeg' "$url/v1/embed"
ask 200 -F "image1=@$photo" -F "image2=@build/demo/sample6.jpg" "$url/v1/verify"
ask 415 --data-binary 'no photo' -H 'Content-Type: image/jpeg' "$url/v1/detect"
ask 400 --data-binary '{"image":' -H 'Content-Type: application/json' "$url/v1/detect"
head -c 20000 "$photo" >"$work/cut.jpg"
ask 400 -F "image=@$work/cut.jpg" "$url/v1/detect"
kill -HUP "$daemon"
ask 200 -X POST "$url/v1/admin/backup"
ask 200 "$url/metrics"
ask 200 "$url/openapi.json"
ask 204 -X DELETE "$url/v1/people/$person"
ask 404 "$url/v1/people/$person"
kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
daemon=
cat "$work/valgrind"
if [ "$status" -ne 0 ] || [ "$failed" -ne 0 ] || [ -s "$work/valgrind" ]; then
	echo "valgrind: facematchd ended with $status"
	exit 1
fi
echo "valgrind: no error, no leak"
