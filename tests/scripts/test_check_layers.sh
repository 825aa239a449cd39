#!/bin/bash
# check-layers.sh must be able to fail: a small tree that keeps the rules, then one breach at a time.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

tree=$scratch/tree
guard() { # PATH GUARD BODY
	mkdir -p "$tree/$(dirname "$1")"
	printf '#ifndef %s\n#define %s\n\n%s\n\n#endif\n' "$2" "$2" "$3" >"$tree/$1"
}
source_file() { # PATH INCLUDES [BODY]
	mkdir -p "$tree/$(dirname "$1")"
	printf '%s\n\n#include "lib/base/banned.h"\n%s' "$2" "${3:-}" >"$tree/$1"
}
good_tree() {
	rm -rf "$tree"
	guard lib/base/banned.h FM_BASE_BANNED_H '#pragma GCC poison strcpy'
	guard lib/base/a.h FM_BASE_A_H 'int fm_a(void);'
	guard lib/nn/n.h FM_NN_N_H 'int fm_n(void);'
	guard daemon/d.h FM_DAEMON_D_H 'int fm_d(void);'
	source_file lib/nn/n.c '#include "lib/base/a.h"'
	source_file lib/gallery/g.c '#include <sqlite3.h>'
	source_file daemon/d.c '#include "lib/nn/n.h"'
	cp "$root/.clang-format" "$tree"
}
run() {
	"$root/scripts/check-layers.sh" "$@" "$tree"
}

good_tree
check "a tree that keeps the rules passes" quietly run

breach() { # NAME TEXT COMMAND...: after COMMAND the check must fail and say TEXT
	local name=$1 text=$2
	shift 2
	good_tree
	"$@"
	refused "$name" "$text" run
}
breach "an arrow that points up" "lib/base/x.c: includes lib/nn/n.h" source_file lib/base/x.c '#include "lib/nn/n.h"'
breach "an arrow that points sideways" "lib/gallery/x.c: includes lib/nn/n.h" \
	source_file lib/gallery/x.c '#include "lib/nn/n.h"'
breach "the library knows the daemon" "lib/nn/x.c: includes daemon/d.h" source_file lib/nn/x.c '#include "daemon/d.h"'
breach "the client knows the daemon" "cli/x.c: includes daemon/d.h" source_file cli/x.c '#include "daemon/d.h"'
breach "a room of no table" "its room is not in the table" source_file lib/attic/x.c '#include "lib/base/a.h"'
breach "a header that is not there" "which is not there" source_file lib/nn/x.c '#include "lib/base/gone.h"'
breach "sqlite outside its room" "daemon/x.c: includes sqlite3.h" source_file daemon/x.c '#include <sqlite3.h>'
breach "microhttpd in a handler" "daemon/handlers/x.c: includes microhttpd.h" \
	source_file daemon/handlers/x.c '#include <microhttpd.h>'
breach "jansson in the library" "lib/face/x.c: includes jansson.h" source_file lib/face/x.c '#include <jansson.h>'
breach "jansson and microhttpd in one file" "knows jansson and microhttpd both" \
	source_file daemon/server.c '#include <jansson.h>
#include <microhttpd.h>'
breach "an outside library of no table" "includes zlib.h" source_file lib/image/x.c '#include <zlib.h>'
breach "no banned.h" "last #include must be" eval 'echo "#include <stdio.h>" >"$tree/lib/nn/x.c"'
breach "banned.h before another include" "last #include must be" \
	eval 'printf "#include \"lib/base/banned.h\"\n#include <stdio.h>\n" >"$tree/lib/nn/x.c"'
breach "no include guard" "lib/nn/x.h: wants the include guard FM_NN_X_H" eval 'echo "int fm_x;" >"$tree/lib/nn/x.h"'
breach "a header that leans on others" "lib/nn/x.h: does not compile alone" guard lib/nn/x.h FM_NN_X_H 'size_t fm_x(void);'
breach "a file of 601 lines" "has 601 lines" eval 'yes "" | head -n 601 >"$tree/lib/nn/x.py"'
breach "a test with a time limit" "x.c:1: a test has no time limit" \
	eval 'mkdir -p "$tree/tests"; echo "Test(a, b, .timeout = 60)" >"$tree/tests/x.c"'
breach "a path outside the tree" "names a path outside" eval 'printf "../%s/data\n" shared >"$tree/README.md"'
breach "a link that leads nowhere" "README.md: links to docs/GONE.md" eval 'echo "[x](docs/GONE.md)" >"$tree/README.md"'
if command -v clang-format >/dev/null; then
	breach "an unformatted file" "lib/nn/x.c: wants make format" source_file lib/nn/x.c '#include "lib/base/a.h"' 'int   fm_x;'
else
	echo "skip - an unformatted file (no clang-format)"
fi

object() { # NAME BODY
	good_tree
	mkdir -p "$scratch/objects/lib/nn"
	rm -f "$scratch/objects/lib/nn/"*
	printf '%s\n' "$2" | "${CC:-gcc}" -fPIE -x c -c -o "$scratch/objects/lib/nn/$1.o" -
}
object printing '#include <stdio.h>
int fm_x(int);
int fm_x(int i) { printf("%d\n", i); return 0; }'
refused "a library that prints" "lib/nn/printing.c: the library must not call printf" run --objects "$scratch/objects"
object global 'int fm_counter; int *fm_x(void); int *fm_x(void) { return &fm_counter; }'
refused "a library with a mutable global" "keeps a mutable global: fm_counter" run --objects "$scratch/objects"
object static 'int fm_x(void); int fm_x(void) { static int calls; return ++calls; }'
refused "a library with a mutable static" "keeps a mutable global: calls" run --objects "$scratch/objects"
object table 'const char *fm_x(int); const char *fm_x(int i) { static const char *const names[] = {"a", "b"}; return names[i]; }'
check "a constant table of pointers is no mutable global" quietly run --objects "$scratch/objects"
exit $failed
