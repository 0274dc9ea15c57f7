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
    cargo test --workspace --locked --no-fail-fast
fi
