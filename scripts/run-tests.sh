#!/bin/bash
# Runs test programs, prints a line for each and repeats every failure at the end.
#
#   scripts/run-tests.sh [--logs DIR] [--timeout SECONDS] PROGRAM...
#
# What a program is follows from its path:
#   */tests/{unit,kernels,http}/*  Criterion: each of its tests counts
#   */tests/stress/*               plain: exit status 0 passed, 77 skipped, else failed
#   */tests/fuzz/replay_NAME       run over tests/fuzz/corpus/NAME: every input must come back
#   *.sh                           prints "ok - ", "not ok - " or "skip - " and a name for each of its tests
# A report of a sanitizer fails the program that caused it, whatever its exit status: Criterion 2.4.1 exits 0 on
# leaks, and a daemon started by a test has no exit status that the test must look at.
# The last line is "N passed, N failed, N skipped"; the exit status is 0 when none failed.
set -uo pipefail
export LC_ALL=C.UTF-8

# Far beyond what the slowest takes under a sanitizer on a busy machine: it ends what hangs.
logs=build/test-logs timeout_s=1500
while [ $# -gt 0 ]; do
	case $1 in
	--logs) logs=$2 && shift 2 ;;
	--timeout) timeout_s=$2 && shift 2 ;;
	*) break ;;
	esac
done
rm -rf "$logs"
mkdir -p "$logs"
logs=$(realpath "$logs")
jobs=$(nproc)
asan_options=${ASAN_OPTIONS:-} ubsan_options=${UBSAN_OPTIONS:-} tsan_options=${TSAN_OPTIONS:-}
total_passed=0 total_failed=0 total_skipped=0
failures=$logs/failures.txt
: >"$failures"

if [ -t 1 ]; then
	red=$'\e[31m' plain=$'\e[0m'
else
	red='' plain=''
fi

# Sets passed, failed, skipped from lines of "ok", "not ok" and skips; Criterion writes "ok - name  # SKIP why".
count() {
	read -r passed failed skipped < <(awk '
		/^ok .*# SKIP/ || /^skip - / { skipped++; next }
		/^ok / { passed++ }
		/^not ok / { failed++ }
		END { print passed + 0, failed + 0, skipped + 0 }' "$1")
}

run_one() {
	local program=$1 name=$2 log=$logs/$3.log tap=$logs/$3.tap report=$logs/$3.sanitizer status=0
	passed=0 failed=0 skipped=0
	export ASAN_OPTIONS="$asan_options:log_path=$report:detect_leaks=1"
	export UBSAN_OPTIONS="$ubsan_options:log_path=$report:print_stacktrace=1"
	export TSAN_OPTIONS="$tsan_options:log_path=$report"
	: >"$tap"

	case $program in
	*.sh)
		timeout -k 10 "$timeout_s" bash "$program" >"$log" 2>&1 </dev/null || status=$?
		cp "$log" "$tap"
		count "$tap"
		;;
	*/tests/stress/*)
		timeout -k 10 "$timeout_s" "$program" >"$log" 2>&1 </dev/null || status=$?
		case $status in
		0) passed=1 ;;
		77) skipped=1 status=0 ;;
		*) failed=1 ;;
		esac
		;;
	*/tests/fuzz/replay_*)
		local corpus=tests/fuzz/corpus/${program##*/replay_}
		timeout -k 10 "$timeout_s" "$program" "$corpus" >"$log" 2>&1 </dev/null || status=$?
		if [ $status -eq 0 ]; then passed=1; else failed=1; fi
		;;
	*)
		timeout -k 10 "$timeout_s" "$program" --jobs "$jobs" --color=never --tap="$tap" \
			>"$log" 2>&1 </dev/null || status=$?
		count "$tap"
		# Tests that were planned and never reported went down with the program.
		local planned
		planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$tap" | head -n 1)
		if [ -n "$planned" ] && [ "$((passed + failed + skipped))" -lt "$planned" ]; then
			failed=$((planned - passed - skipped))
		fi
		;;
	esac

	[ $status -ne 124 ] || echo "stopped after $timeout_s s" >>"$log"
	if [ $status -ne 0 ] && [ $failed -eq 0 ]; then
		failed=1
		echo "exit status $status" >>"$log"
	fi
	if compgen -G "$report*" >/dev/null; then
		failed=$((failed + 1))
		cat "$report"* >>"$log"
	fi
	if [ $((passed + failed + skipped)) -eq 0 ]; then
		failed=1
		echo "holds no test" >>"$log"
	fi
	if [ $failed -gt 0 ]; then
		{
			echo
			echo "== $name (log: $log)"
			tail -n 60 "$log"
			[ "$program" != "${program%.sh}" ] || grep '^not ok' "$tap"
		} >>"$failures"
	fi
}

started=$SECONDS
for program in "$@"; do
	name=${program#build/*/}
	name=${name#tests/}
	begin=$EPOCHREALTIME
	run_one "$program" "$name" "${name//\//-}"
	elapsed_ms=$(((${EPOCHREALTIME/./} - ${begin/./}) / 1000))
	note=
	[ $skipped -eq 0 ] || note+=", $skipped skipped"
	[ $failed -eq 0 ] || note+=", $red$failed FAILED$plain"
	printf '%-36s %5d passed%s  (%d.%01d s)\n' "$name" "$passed" "$note" $((elapsed_ms / 1000)) $((elapsed_ms % 1000 / 100))
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
	total_skipped=$((total_skipped + skipped))
done

if [ $total_failed -gt 0 ]; then
	echo
	echo "Failures:"
	cat "$failures"
fi
echo
echo "$# programs, $((SECONDS - started)) s"
echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
[ $total_failed -eq 0 ]
