#!/usr/bin/env bash
# Builds the XDP program; with --check compares with the committed object instead of writing it. The object is that of clang 14, whose
# code others need not repeat byte for byte: set CLANG to it where another one is the default.
set -euo pipefail
cd "$(dirname "$0")/program"
clang=${CLANG:-$(command -v clang-14 || command -v clang)}
strip=${STRIP:-$(command -v llvm-strip-14 || command -v llvm-strip)}
"$clang" --version | grep -q 'version 14\.' || { echo "ebpf/build.sh: $clang is not clang 14: apt-get install clang-14" >&2; exit 1; }
new=$(mktemp)
trap 'rm -f "$new"' EXIT
# BTF comes from -g; DWARF with its paths goes.
"$clang" -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -fdebug-compilation-dir=. \
    -idirafter "/usr/include/$(uname -m)-linux-gnu" -c sonda.bpf.c -o "$new"
"$strip" -g "$new"
if [ "${1:-}" = --check ]; then
    cmp "$new" sonda.bpf.o || { echo "ebpf/build.sh: sonda.bpf.o is not what sonda.bpf.c gives: run ebpf/build.sh and commit" >&2; exit 1; }
else
    cp "$new" sonda.bpf.o
    chmod 644 sonda.bpf.o
fi
