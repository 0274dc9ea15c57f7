#!/usr/bin/env bash
# Builds the XDP programs; with --check compares with the committed objects instead of writing them. An object is that of clang 14, whose
# code others need not repeat byte for byte: set CLANG and STRIP to it where other ones are the default.
set -euo pipefail
cd "$(dirname "$0")/program"
clang=${CLANG:-$(command -v clang-14 || command -v clang)}
strip=${STRIP:-$(command -v llvm-strip-14 || command -v llvm-strip)}
"$clang" --version | grep -q 'version 14\.' || { echo "ebpf/build.sh: $clang is not clang 14: apt-get install clang-14" >&2; exit 1; }
new=$(mktemp)
trap 'rm -f "$new"' EXIT
for source in *.bpf.c; do
    object=${source%.c}.o
    # BTF comes from -g; DWARF with its paths goes.
    "$clang" -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -fdebug-compilation-dir=. \
        -idirafter "/usr/include/$(uname -m)-linux-gnu" -c "$source" -o "$new"
    "$strip" -g "$new"
    if [ "${1:-}" = --check ]; then
        cmp "$new" "$object" || { echo "ebpf/build.sh: $object is not what $source gives: run ebpf/build.sh and commit" >&2; exit 1; }
    else
        install -m 644 "$new" "$object"
    fi
done
