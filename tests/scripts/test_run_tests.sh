#!/bin/bash
# run-tests.sh must count rightly and let nothing that failed pass: against pretended programs of every kind.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit 1
unset ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

program() { # PATH: the script comes on stdin
	mkdir -p "$(dirname "$1")"
	{ echo '#!/bin/bash' && cat -; } >"$1"
	chmod +x "$1"
}
# A pretended Criterion program writes the lines of stdin into the file that --tap names.
criterion() { # NAME EXIT_STATUS [COMMAND]
	program "build/x/tests/unit/room/$1" <<SH
for argument; do [ "\${argument#--tap=}" = "\$argument" ] || tap=\${argument#--tap=}; done
cat >"\$tap" <<'TAP'
$(cat -)
TAP
${3:-}
exit $2
SH
}
run() {
	"$root/scripts/run-tests.sh" --logs logs --timeout "${timeout_s:-600}" "$@"
}
# says NAME LAST_LINE STATUS PROGRAM...
says() {
	local name=$1 line=$2 wanted=$3 output status=0
	shift 3
	output=$(run "$@" 2>&1) || status=$?
	check "$name: $line" [ "$(tail -n 1 <<<"$output"), $status" = "$line, $wanted" ]
}
# repeats NAME TEXT PROGRAM...: TEXT, a regular expression, stands under "Failures:".
repeats() {
	local name=$1 text=$2
	shift 2
	run "$@" >output 2>&1
	check "$name" grep -q "$text" <(sed -n '/^Failures:/,$p' output)
}
unit=build/x/tests/unit/room

criterion good 0 <<<'1..3
ok - a::one  (0.00s)
ok - a::two  # SKIP absent
ok - a::three  (0.00s)'
says "passes and skips are counted" "2 passed, 0 failed, 1 skipped" 0 $unit/good

criterion bad 1 <<<'1..2
ok - a::one  (0.00s)
not ok - a::two  (0.00s)'
says "a failure is counted" "1 passed, 1 failed, 0 skipped" 1 $unit/bad
says "programs add up, and one failure fails all" "3 passed, 1 failed, 1 skipped" 1 $unit/bad $unit/good
repeats "failures are repeated at the end" "^not ok - a::two" $unit/bad $unit/good

criterion died 139 <<<'1..5
ok - a::one  (0.00s)'
says "tests that never reported have failed" "1 passed, 4 failed, 0 skipped" 1 $unit/died
criterion silent 0 <<<''
says "a program without tests has failed" "0 passed, 1 failed, 0 skipped" 1 $unit/silent
criterion status 3 <<<'1..1
ok - a::one  (0.00s)'
says "an exit status without a failed test fails" "1 passed, 1 failed, 0 skipped" 1 $unit/status
# shellcheck disable=SC2016 # expanded by the program
criterion leaks 0 'path=${ASAN_OPTIONS##*log_path=}; echo "LeakSanitizer: 8 bytes" >"${path%%:*}.123"' <<<'1..1
ok - a::one  (0.00s)'
says "a sanitizer's report fails a program that exits 0" "1 passed, 1 failed, 0 skipped" 1 $unit/leaks
repeats "the report is shown" "LeakSanitizer: 8 bytes" $unit/leaks
criterion hangs 0 "sleep 60" <<<'1..1
ok - a::one  (0.00s)'
timeout_s=2 says "a program that hangs is stopped" "1 passed, 1 failed, 0 skipped" 1 $unit/hangs

program build/x/tests/stress/good <<<'exit 0'
program build/x/tests/stress/bad <<<'exit 1'
program build/x/tests/stress/skips <<<'exit 77'
says "stress programs pass, fail and skip" "1 passed, 1 failed, 1 skipped" 1 build/x/tests/stress/{good,bad,skips}

program build/x/tests/fuzz/replay_thing <<<'[ "$1" = tests/fuzz/corpus/thing ]'
says "a replay gets its corpus" "1 passed, 0 failed, 0 skipped" 0 build/x/tests/fuzz/replay_thing

program shell.sh <<<'echo "ok - a"; echo "not ok - b"; echo "skip - c"; exit 1'
says "shell tests are counted" "1 passed, 1 failed, 1 skipped" 1 shell.sh
program empty.sh <<<'exit 0'
says "a shell test that tests nothing fails" "0 passed, 1 failed, 0 skipped" 1 empty.sh
exit $failed
