#!/usr/bin/env bash
# Sets up what is missing, builds Sonda, and shows the flows of example traffic, which our generator writes to target/try.
set -euo pipefail
cd "$(dirname "$0")/.."
deploy/setup.sh
cargo build --release --locked --package sonda --package xtask
target=${CARGO_TARGET_DIR:-target}
captures=$target/try
mkdir -p "$captures"
"$target/release/xtask" cases "$captures" http_keepalive dns smtp sip tls13 icmp vlan
echo
"$target/release/sonda" probe "$captures"/{http_keepalive,tls13,smtp,sip,dns,icmp,vlan}.pcap
echo
echo "Next: $target/release/sonda probe YOUR.pcap      or: $target/release/sonda help"
