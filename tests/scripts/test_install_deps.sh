#!/bin/bash
# install-deps.sh against a pretended Debian: it must ask apt for exactly what is missing, and only as root.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

mkdir "$scratch/bin"
for tool in bash env cut head id tr sed sort grep touch; do
	ln -s "$(command -v $tool)" "$scratch/bin/$tool"
done
fake() { # NAME: the script comes on stdin
	cat - >"$scratch/bin/$1"
	chmod +x "$scratch/bin/$1"
}
fake dpkg-query <<SH
#!/bin/bash
grep -qx "\${!#}" "$scratch/installed" && echo installed
SH
fake apt-cache <<SH
#!/bin/bash
[ -e "$scratch/lists" ]
SH
fake apt-get <<SH
#!/bin/bash
echo "\$*" >>"$scratch/apt"
case "\$*" in
*update*) touch "$scratch/lists" ;;
*install*) while [ "\$1" != --no-install-recommends ]; do shift; done
	shift
	printf '%s\n' "\$@" >>"$scratch/installed" ;;
esac
SH
install_deps() {
	env -i PATH="$scratch/bin" "$@" "$root/scripts/install-deps.sh" format models
}
reset() {
	rm -f "$scratch/apt" "$scratch/lists"
	: >"$scratch/installed"
	: >"$scratch/apt"
}
user_is() {
	fake id <<<"#!/bin/bash
echo $1"
}
rm "$scratch/bin/id"

reset
user_is 1000
refused "neither root nor sudo: says the packages" "apt-get install .*ca-certificates clang-format npm" install_deps
check "neither root nor sudo: apt-get is not run" [ ! -s "$scratch/apt" ]

user_is 0
refused "FM_NO_INSTALL: says the packages" "clang-format" install_deps FM_NO_INSTALL=1
check "FM_NO_INSTALL: apt-get is not run" [ ! -s "$scratch/apt" ]

check "root: installs" quietly install_deps
check "root: refreshes unknown package lists first" grep -q update <(head -n 1 "$scratch/apt")
check "root: asks for what is missing alone" grep -qE -- '--no-install-recommends ca-certificates clang-format npm$' "$scratch/apt"
: >"$scratch/apt"
check "again: is content" install_deps
check "again: asks apt-get for nothing" [ ! -s "$scratch/apt" ]

reset
touch "$scratch/lists"
echo ca-certificates >>"$scratch/installed"
fake npm <<<"#!/bin/bash"
check "a command met otherwise is content" quietly install_deps
check "known lists are not refreshed" [ "$(grep -c update "$scratch/apt")" -eq 0 ]
check "one package is missing" grep -qE -- '--no-install-recommends clang-format$' "$scratch/apt"

refused "an unknown purpose is refused" "unknown purpose 'nonsense'" "$root/scripts/install-deps.sh" nonsense
exit $failed
