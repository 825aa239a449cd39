# Sourced by tests/scripts/test_*.sh: a scratch directory, and "ok - NAME" or "not ok - NAME" for each test.
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# check NAME COMMAND...: the command must succeed.
check() {
	local name=$1
	shift
	if "$@"; then
		echo "ok - $name"
	else
		echo "not ok - $name: $*"
		failed=1
	fi
}

# refused NAME TEXT COMMAND...: the command must fail, and say TEXT (an extended regular expression).
refused() {
	local name=$1 text=$2 output
	shift 2
	if output=$("$@" 2>&1); then
		echo "not ok - $name: succeeded, and said: $output"
		failed=1
	elif ! grep -qE -- "$text" <<<"$output"; then
		echo "not ok - $name: did not say '$text' but: $output"
		failed=1
	else
		echo "ok - $name"
	fi
}

empty_or_absent() {
	[ ! -e "$1" ] || [ -z "$(find "$1" -type f)" ]
}

# For check: says something only when the command fails.
quietly() {
	"$@" >"$scratch/log" 2>&1 || {
		cat "$scratch/log"
		return 1
	}
}
