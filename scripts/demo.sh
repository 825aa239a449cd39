#!/bin/bash
# Shows facematchd at work on real photos: enrolment, search, verification, each by curl. Called by `make demo`, which
# builds and fetches first. Exits 1 when an answer is not the one that the photos warrant.
#
#   scripts/demo.sh [BUILD_DIR [PHOTO_DIR]]
#
# The photos come with @vladmandic/face-api 1.7.15: groups of three to five women. The woman in the middle of
# sample3.jpg is the one on the right of sample1.jpg; nobody else below is in two of the photos used. We do not know
# any of them: the names are invented.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.."
build=${1:-build/release}
photos=${2:-build/demo}

work=$(mktemp -d)
daemon=
stop() {
	if [ -n "$daemon" ]; then
		kill "$daemon" 2>/dev/null || true
		wait "$daemon" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

# Six people are enrolled, and one stranger in a thousand may be taken for one of them.
printf '[match]\nfalse_positive_identification_rate = 1e-3\n' >"$work/facematchd.conf"
"$build/facematchd" --config "$work/facematchd.conf" --listen 127.0.0.1:0 --port-file "$work/port" --gallery "$work/gallery.db" --models build/models \
	2>"$work/log" &
daemon=$!
for ((i = 0; i < 2400; i++)); do
	[ ! -s "$work/port" ] || break
	kill -0 "$daemon" 2>/dev/null || break
	sleep 0.1
done
if [ ! -s "$work/port" ]; then
	echo "demo: facematchd did not start:" >&2
	cat "$work/log" >&2
	exit 1
fi
url=http://127.0.0.1:$(cat "$work/port")

failures=0
expect() { # WHAT WANTED GOT
	if [ "$2" != "$3" ]; then
		echo "  !! $1: expected $2, got $3"
		failures=$((failures + 1))
	fi
}
# ask CURL_ARGUMENT...: leaves the body in $work/reply, the status in $code, the time in $ms.
ask() {
	local seconds
	read -r code seconds < <(curl -s -o "$work/reply" -w '%{http_code} %{time_total}\n' "$@") || true
	ms=$(awk -v s="$seconds" 'BEGIN { printf "%.0f", s * 1000 }')
}
# json JAVASCRIPT: what the expression gives for the reply r. npm is here already, and node with it.
json() {
	node -e '
		const r = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
		const cosine = (x) => x.toFixed(3), rate = (x) => x.toExponential(0);
		const at = (b) => `${Math.round(b.x + b.width / 2)},${Math.round(b.y + b.height / 2)}`;
		const out = eval(process.argv[2]);
		console.log(Array.isArray(out) ? out.join("\n") : out);' "$work/reply" "$1"
}
show() { # prints a curl command as a person would type it
	printf '\n  $ curl'
	printf " %s" "$@"
	printf '\n'
}

ask "$url/v1/info"
expect "GET /v1/info" 200 "$code"
echo
echo "facematchd $(json '`${r.version}, ${r.models.embedding.fingerprint} in ${r.quantization}, ${r.isa}, ${r.workers} workers`'), on $url"

echo
echo "1. Enrol six people out of group photos (POST /v1/enroll; face=X,Y picks the face)"
show "-F image=@$photos/sample3.jpg '$url/v1/enroll?name=Anna&face=1179,353'"
echo
printf '     %-8s %-12s %-10s %8s %8s\n' name photo "face at" quality time
while read -r name photo point; do
	ask -F "image=@$photos/$photo" "$url/v1/enroll?name=$name&face=$point"
	expect "enrolling $name" 201 "$code"
	[ "$code" = 201 ] || { cat "$work/reply" && continue; }
	printf '     %-8s %-12s %-10s %8s %5d ms\n' "$name" "$photo" "$point" "$(json 'r.face.quality.score.toFixed(2)')" "$ms"
	[ "$name" != Anna ] || anna=$(json r.person.id)
done <<'PEOPLE'
Anna sample3.jpg 1179,353
Bella sample3.jpg 692,465
Clara sample6.jpg 358,619
Dora sample6.jpg 1584,409
Elena sample5.jpg 1503,530
Fiona sample5.jpg 867,217
PEOPLE

identify() { # PHOTO
	ask -F "image=@$photos/$1" "$url/v1/identify?limit=1"
	expect "identifying $1" 200 "$code"
	printf '     %-12s %-10s %-9s %-8s %11s %7s %10s   %s\n' photo "face at" decision person similarity cosine threshold "nearest enrolled"
	json 'r.faces.map((f) => { const c = f.candidates[0]; return [
		"     '"$1"'".padEnd(17), at(f.box).padEnd(10), f.decision.padEnd(9), (f.person ? f.person.name : "-").padEnd(8),
		c.similarity.toFixed(2).padStart(11), cosine(c.cosine).padStart(7), cosine(f.threshold.cosine).padStart(10),
		"  " + c.person.name].join(" "); })'
	printf '     %s faces in %d ms\n' "$(json r.faces.length)" "$ms"
}
echo
echo "2. Who is in a photo that was not enrolled? (POST /v1/identify)"
show "-F image=@$photos/sample1.jpg '$url/v1/identify?limit=1'"
echo
identify sample1.jpg
expect "people recognised in sample1.jpg" "Anna" "$(json 'r.faces.filter((f) => f.person).map((f) => f.person.name).join()')"
expect "the face that is Anna's" true \
	"$(json 'r.faces.some((f) => f.person && Math.abs(f.box.x + f.box.width / 2 - 1563) < 100 && Math.abs(f.box.y + f.box.height / 2 - 314) < 100)')"
expect "strangers in sample1.jpg, at least two" true "$(json 'r.faces.filter((f) => f.decision === "unknown").length >= 2')"

echo
echo "3. A photo of people of whom none was enrolled"
echo
identify sample4.jpg
expect "people recognised in sample4.jpg" "" "$(json 'r.faces.filter((f) => f.person).map((f) => f.person.name).join()')"
expect "strangers in sample4.jpg, at least four" true "$(json 'r.faces.filter((f) => f.decision === "unknown").length >= 4')"

echo
echo "4. Are these two the same person? (POST /v1/verify; the largest face of each photo counts)"
show "-F image1=@$photos/sample1.jpg -F image2=@$photos/sample3.jpg $url/v1/verify"
echo
printf '     %-30s %-10s %11s %7s %10s %16s %8s\n' photos decision similarity cosine threshold "false match rate" time
verify() { # LABEL WANTED CURL_ARGUMENT...
	local label=$1 wanted=$2
	shift 2
	ask "$@"
	expect "verifying $label" 200 "$code"
	expect "$label match" "$wanted" "$(json r.match)"
	json '["     '"$label"'".padEnd(35), (r.match ? "same" : "different").padEnd(10), r.similarity.toFixed(2).padStart(11),
		cosine(r.cosine).padStart(7), cosine(r.threshold.cosine).padStart(10), rate(r.threshold.false_match_rate).padStart(16),
		("'"$ms"'" + " ms").padStart(8)].join(" ")'
}
verify "sample1.jpg, sample3.jpg" true -F "image1=@$photos/sample1.jpg" -F "image2=@$photos/sample3.jpg" "$url/v1/verify"
verify "sample1.jpg, Anna as enrolled" true -F "image=@$photos/sample1.jpg" "$url/v1/verify?person=$anna"
verify "sample1.jpg, sample6.jpg" false -F "image1=@$photos/sample1.jpg" -F "image2=@$photos/sample6.jpg" "$url/v1/verify"

kill "$daemon"
status=0
wait "$daemon" || status=$?
daemon=
expect "facematchd's exit status" 0 "$status"

echo
if [ $failures -gt 0 ]; then
	echo "demo: $failures answers were not as expected; the daemon's log:"
	cat "$work/log"
	exit 1
fi
echo "All answers as expected; facematchd stopped, its gallery removed."
