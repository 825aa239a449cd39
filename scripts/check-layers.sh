#!/bin/bash
# Holds the sources to the house rules (docs/ARCHITECTURE.md). Says every breach, exits 1 if there is one.
#
#   scripts/check-layers.sh [--objects DIR] [ROOT]
#
# ROOT is the tree to check (default: this one). --objects names a build directory whose lib/ objects are searched
# for printing, exiting and mutable globals; CC and CFLAGS_HEADERS are used to compile headers alone.
set -uo pipefail
export LC_ALL=C

objects=
[ "${1:-}" != --objects ] || { objects=$(realpath "$2") && shift 2; }
cd "${1:-$(dirname "$0")/..}" || exit 2
breaches=$(mktemp)
trap 'rm -f "$breaches"' EXIT
breach() {
	echo "$1" | tee -a "$breaches"
}

# Which rooms a room may include from, besides itself. Arrows point down only.
declare -A below=(
	[lib/base]=""
	[lib/auth]="lib/base"
	[lib/cpu]="lib/base"
	[lib/kernels]="lib/base lib/cpu"
	[lib/onnx]="lib/base"
	[lib/nn]="lib/base lib/cpu lib/kernels lib/onnx"
	[lib/image]="lib/base"
	[lib/face]="lib/base lib/nn lib/image"
	[lib/search]="lib/base lib/kernels"
	[lib/gallery]="lib/base"
	[daemon]="lib"
	[cli]="lib"
)

# Which files may include an outside library's header: a header (a shell pattern) and the one place that knows it.
outside=(
	"sqlite3.h lib/gallery/*"
	"sodium.h lib/gallery/seal.c"
	"jpeglib.h lib/image/jpeg.c"
	"jerror.h lib/image/jpeg.c"
	"spng.h lib/image/png.c"
	"webp/* lib/image/webp.c"
	"*onnx.pb-c.h lib/onnx/*"
	"protobuf-c/* lib/onnx/*"
	"ini.h lib/face/manifest.c|daemon/config.c"
	"nettle/* lib/base/sha256.c"
	"uuid/* lib/base/uuid.c"
	"immintrin.h lib/kernels/*|lib/cpu/*"
	"xmmintrin.h lib/kernels/*|lib/cpu/*"
	"arm_neon.h lib/kernels/*"
	"cpuid.h lib/cpu/*"
	"gnutls/* daemon/tls.c"
	"malloc.h daemon/main.c|daemon/keeper.c"
	"microhttpd.h daemon/server.c"
	"systemd/* daemon/*"
	"jansson.h daemon/*|cli/*"
	"curl/* cli/remote.c"
	"criterion/* "
)
# The C library's own, which everybody may use.
libc=" assert.h ctype.h dirent.h endian.h errno.h fcntl.h fenv.h float.h getopt.h inttypes.h limits.h locale.h math.h
	poll.h pthread.h sched.h setjmp.h signal.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h
	stdlib.h string.h strings.h time.h unistd.h termios.h syslog.h pwd.h grp.h glob.h ftw.h netdb.h
	arpa/inet.h net/if.h netinet/in.h netinet/tcp.h
	sys/auxv.h sys/eventfd.h sys/file.h sys/ioctl.h sys/mman.h sys/param.h sys/random.h sys/resource.h sys/socket.h
	sys/stat.h sys/statvfs.h sys/syscall.h sys/time.h sys/types.h sys/uio.h sys/un.h sys/utsname.h sys/wait.h "
libc=$(tr -s '\t\n' ' ' <<<"$libc")

# Sets room. No subshell: this runs for every include.
find_room() {
	room=${1%%/*}
	[[ $1 != lib/*/* ]] || { room=${1#lib/} && room=lib/${room%%/*}; }
}

# matches PATH "PATTERN|PATTERN"
matches() {
	local pattern
	local IFS='|'
	set -f
	for pattern in $2; do
		# shellcheck disable=SC2254 # a pattern is wanted
		case $1 in $pattern)
			set +f
			return 0
			;;
		esac
	done
	set +f
	return 1
}

check_include() {
	local file=$1 header=$2 room here allowed row known=
	for row in "${outside[@]}"; do
		matches "$header" "${row%% *}" || continue
		known=yes
		matches "$file" "${row#* }" ||
			breach "$file: includes $header, which only ${row#* } may know"
	done
	[ -z "$known" ] || return
	case $header in
	lib/* | daemon/* | cli/* | tests/*)
		find_room "$file"
		here=$room
		find_room "$header"
		[ -e "$header" ] || breach "$file: includes $header, which is not there"
		[ "$room" != "$here" ] || return
		for allowed in ${below[$here]-}; do
			case $room in "$allowed" | "$allowed"/*) return ;; esac
		done
		breach "$file: includes $header: $here may include from ${below[$here]:-nothing else}"
		;;
	*)
		[ "${libc/ $header /}" != "$libc" ] ||
			breach "$file: includes $header, which is neither the C library's nor in the table of outside libraries"
		;;
	esac
}

mapfile -t sources < <(find lib daemon cli -name '*.[ch]' 2>/dev/null | sort)
for file in "${sources[@]}"; do
	find_room "$file"
	[ -n "${below[$room]+there}" ] || breach "$file: its room is not in the table of rooms"
done
while read -r file header; do
	check_include "$file" "$header"
done < <(grep -HoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]+' "${sources[@]}" /dev/null |
	sed -E 's/:[^<"]*[<"]/ /')

for file in "${sources[@]}"; do
	case $file in
	*.c)
		[ "$(sed -n '/^#include/h; ${x; p}' "$file")" = '#include "lib/base/banned.h"' ] ||
			breach "$file: its last #include must be \"lib/base/banned.h\""
		;;
	*.h)
		guard=${file#lib/}
		guard=${guard//[.\/-]/_}
		guard=FM_${guard^^}
		[ "$(grep -cE "^#(ifndef|define) $guard\$" "$file")" -eq 2 ] || breach "$file: wants the include guard $guard"
		;;
	esac
done
while read -r file; do
	breach "$file: knows jansson and microhttpd both"
done < <(grep -lE '#include <jansson.h>' "${sources[@]}" /dev/null | xargs -r grep -lE '#include <microhttpd.h>')

# A header must stand alone: whoever includes it first gets all that it needs.
# One for a vector ISA is compiled as its kernels are, and left out where the compiler is for another architecture. One that
# asks for definitions by who includes it is compiled there.
compile_header() {
	local isa=
	case $1 in
	*_tiles.h) return 0 ;;
	*_sse41.h | *vec4.h) isa=-msse4.1 ;;
	*_avx2.h | *_vnni256.h | *columns_vector.h | *f32_vector.h) isa="-mavx2 -mfma" ;;
	*_avx512*.h) isa="-mavx2 -mfma -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni" ;;
	esac
	[ -z "$isa" ] || [[ $(${CC:-gcc} -dumpmachine) == x86_64* ]] || return 0
	echo "#include \"$1\"" | ${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -I. $isa ${CFLAGS_HEADERS:--Ibuild/release/gen} -Wall -Wextra -Werror \
		-fsyntax-only -x c - 2>&1 | sed -n "1s|^|$1: does not compile alone: |p"
}
export -f compile_header
while read -r line; do
	breach "$line"
done < <(printf '%s\n' "${sources[@]}" | grep '\.h$' | xargs -r -P "$(nproc)" -I{} bash -c 'compile_header {}')

mapfile -t written < <(find lib daemon cli tests scripts -regex '.*\.\(c\|h\|sh\|py\|js\|mjs\)' 2>/dev/null | sort)
for file in "${written[@]}"; do
	mapfile -t lines <"$file"
	[ ${#lines[@]} -le 600 ] || breach "$file: has ${#lines[@]} lines, split at 600"
done

# Tests that Criterion ends after different times leak when they overlap, and a busy machine is no failure: run-tests.sh
# ends what hangs.
while read -r line; do
	breach "$line: a test has no time limit of its own"
done < <(grep -rnE '\.timeout *= *[0-9]' tests --include='*.[ch]' 2>/dev/null | cut -d: -f1-2)

# Nothing may lean on one developer's machine. What looks for optional data beside the tree takes FM_SHARED_DATA for it,
# names that variable in the same line, and does without when there is none.
while read -r line; do
	breach "$line: names a path outside the tree"
done < <(grep -rnE '\.\./share[d]|/wor[k]/' lib daemon cli config systemd scripts Makefile README.md docs 2>/dev/null |
	grep -v FM_SHARED_DATA | cut -d: -f1-2)

# A link from one page to another must lead somewhere.
while IFS=: read -r page link; do
	[ -e "$(dirname "$page")/$link" ] || breach "$page: links to $link, which is not there"
done < <(grep -oHE '\]\([^):#]+\)' ./*.md docs/*.md 2>/dev/null | sed 's/](//; s/)$//')

if [ -n "$objects" ]; then
	# Under -fPIE tables of pointers live in .data.rel.ro: written by the loader once, then read-only.
	while read -r line; do
		breach "$line"
	done < <(find "$objects/lib" -name '*.o' | sort | while read -r object; do
		name=${object#"$objects"/}
		nm --format=sysv "$object" 2>/dev/null | tr -d ' ' | awk -F'|' -v name="${name%.o}.c" -v cpu="${name#lib/cpu/}" '
			NF < 7 { next }
			$7 ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && $7 !~ /^\.data\.rel\.ro/ && $1 !~ /^\./ && name !~ /^lib\/cpu\// {
				print name ": keeps a mutable global: " $1 }
			$3 == "U" && $1 ~ /^(printf|__printf_chk|fprintf|__fprintf_chk|vprintf|vfprintf|puts|putchar|fputs|perror|stdout|stderr|syslog|exit|_exit|quick_exit|abort)$/ {
				print name ": the library must not call " $1 }'
	done)
fi

if command -v clang-format >/dev/null; then
	while read -r line; do
		breach "$line"
	done < <(find lib daemon cli tests -name '*.[ch]' 2>/dev/null | sort | xargs -r -P "$(nproc)" -n 20 clang-format --dry-run -Werror 2>&1 |
		sed -nE 's/^([^:]+):[0-9]+:[0-9]+: error: code should be clang-formatted.*/\1: wants make format/p' | sort -u)
fi
if command -v shellcheck >/dev/null; then
	mapfile -t shell < <(find scripts tests/scripts -name '*.sh' 2>/dev/null | sort)
	[ ${#shell[@]} -eq 0 ] || shellcheck --shell=bash --severity=warning --exclude=SC2034,SC2154 "${shell[@]}" ||
		breach "scripts: see shellcheck above"
fi

if [ -s "$breaches" ]; then
	echo "check-source: $(wc -l <"$breaches") breaches"
	exit 1
fi
echo "check-source: ${#sources[@]} sources keep the rules"
