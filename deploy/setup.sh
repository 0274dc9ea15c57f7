#!/usr/bin/env bash
# Installs what building and testing need beside git and Rust (Debian, Ubuntu): as root or by sudo, without questions.
# Quick when all is there.
set -euo pipefail

# What must be found, and the package that brings it.
need=(
    cc=gcc
    pkg-config=pkg-config
    python3=python3
    taskset=util-linux
    unshare=util-linux
    tshark=tshark
    capinfos=wireshark-common
    editcap=wireshark-common
    nfcapd=nfdump
    nfdump=nfdump
    nfpcapd=nfdump
    softflowd=softflowd
    chromium=chromium
    prometheus=prometheus
    promtool=prometheus
    munin-node=munin-node
    munin-run=munin-node
    valgrind=valgrind
    bpftool=bpftool
    clang=clang
    llvm-strip=llvm
    ip=iproute2
    ethtool=ethtool
    setpriv=util-linux
    sysctl=procps
    systemd-analyze=systemd
    tcpdump=tcpdump
    tcpreplay=tcpreplay
    openssl=openssl
    "/usr/lib/$(uname -m)-linux-gnu/liblz4.so.1=liblz4-1"
    faketime=faketime
    /usr/include/pcap.h=libpcap-dev
    /usr/include/dpdk/rte_ethdev.h=libdpdk-dev
    /usr/lib/python3/dist-packages/mongomock=python3-mongomock
    /usr/lib/python3/dist-packages/bson=python3-bson
    /usr/include/librdkafka/rdkafka.h=librdkafka-dev
    /usr/include/openssl/ssl.h=libssl-dev
)

PATH=$PATH:/usr/sbin:/sbin
missing=()
for pair in "${need[@]}"; do
    what=${pair%%=*}
    [ -e "$what" ] || command -v "$what" >/dev/null || missing+=("${pair#*=}")
done

python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || { echo "setup: install these first, there is no apt-get here: ${missing[*]}" >&2; exit 1; }
    as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "setup: run as root, or install: ${missing[*]}" >&2; exit 1; }
        as_root=(sudo)
    fi
    apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=300)
    echo "setup: installing ${missing[*]}"
    "${apt[@]}" update
    "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null
fi

# What Debian has not: schemathesis, with all that it needs, in the versions of deploy/schemathesis.txt (pip fetches them once).
here=$(cd "$(dirname "$0")" && pwd)
tools=${CARGO_TARGET_DIR:-$here/../target}/tools/schemathesis
if ! cmp -s "$here/schemathesis.txt" "$tools/installed.txt"; then
    echo "setup: installing schemathesis into $tools"
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$here/schemathesis.txt" ||
        { echo "setup: schemathesis cannot be fetched: the machine needs a way to pypi.org once" >&2; exit 1; }
    cp "$here/schemathesis.txt" "$tools/installed.txt"
fi

if command -v rustup >/dev/null; then
    have=$(rustup component list --installed)
    for component in rustfmt clippy; do
        grep -q "^$component" <<<"$have" || rustup --quiet component add "$component"
    done
fi
