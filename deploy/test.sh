#!/usr/bin/env bash
# Sets up what is missing and runs all tests. With SONDA_SHARED=FOLDER also those over the recorded data in that folder.
set -euo pipefail
cd "$(dirname "$0")/.."
deploy/setup.sh
if command -v cargo-nextest >/dev/null; then
    cargo nextest run --workspace --locked --no-fail-fast
    # nextest does not run the examples in the documentation.
    cargo test --workspace --locked --doc --quiet
else
    # cargo's own runner has no limit for a test: a binary of tests that hangs is ended with its name, and the others go on.
    host=$(rustc -vV | sed -n 's/^host: //p' | tr a-z- A-Z_)
    export "CARGO_TARGET_${host}_RUNNER=timeout --verbose --kill-after=10 20m"
    cargo test --workspace --locked --no-fail-fast
fi
