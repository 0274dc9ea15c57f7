#!/usr/bin/env bash
# A stranger reads the description of the control API and asks a real supervisor for everything that it allows and much that it does not.
# Fails when an answer is not as described or a server error; and when schemathesis is not installed: nothing is skipped unseen.
#   deploy/schemathesis.sh [SONDA]        this program in place of target/debug/sonda
#   SCHEMATHESIS=PATH EXAMPLES=N          the tool in place of the one that deploy/setup.sh installs, and requests of each route at the most (50)
set -euo pipefail
cd "$(dirname "$0")/.."
installed=${CARGO_TARGET_DIR:-target}/tools/schemathesis/bin/schemathesis
st=$(realpath -e "$(command -v "${SCHEMATHESIS:-$installed}")") || {
    echo "schemathesis is missing: run deploy/setup.sh, or give another one by SCHEMATHESIS=PATH" >&2
    exit 1
}
sonda=${1:-target/debug/sonda}
[ -x "$sonda" ] || { echo "$sonda is missing: cargo build -p sonda" >&2; exit 1; }
there=$(mktemp -d)
supervisor=
trap '[ -z "$supervisor" ] || kill "$supervisor" 2>/dev/null || :; wait; rm -rf "$there"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -addext subjectAltName=IP:127.0.0.1 -days 2 \
    -keyout "$there/server.key" -out "$there/server.crt" 2>"$there/openssl" || { cat "$there/openssl" >&2; exit 1; }
token=$("$sonda" ctl token add stranger --role operator --days 1 --file "$there/tokens.json" 2>/dev/null)
echo 'keep other' >"$there/rules"
cat >"$there/s.toml" <<END
[api]
listen = "127.0.0.1:0"
certificate = "$there/server.crt"
key = "$there/server.key"
tokens = "$there/tokens.json"
alerts = "$there/alerts.db"
[[profile]]
name = "P"
[[module]]
name = "name"
profile = "P"
path = "/bin/sleep"
params = "1000"
[[module]]
name = "ruled"
profile = "P"
enabled = false
path = "/bin/true"
params = "--prefilter @$there/rules"
END
"$sonda" supervisor -F -c "$there/s.toml" -L "$there" -s "$there/s.sock" &
supervisor=$!
served() { sed -n 's/.*The control API is served at https:\/\/127.0.0.1:\([0-9]*\)\..*/\1/p' "$there/supervisor_log" 2>/dev/null || :; }
for _ in $(seq 300); do
    port=$(served)
    [ -z "$port" ] || break
    sleep 0.2
done
[ -n "$port" ] || { echo "the supervisor does not serve its API:" >&2; cat "$there/supervisor_log" >&2; exit 1; }
# Left out: what has no end or ends the supervisor. Roles are walked by probe/tests/control_tcp.rs; a stranger's wrong tokens would be refused
# for a minute, with all others of his address. That a name is not there is no fault of a request.
description=$PWD/docs/openapi.json
# What it remembers of its runs is not kept.
cd "$there"
"$st" run "$description" --url "https://127.0.0.1:$port" --tls-verify "$there/server.crt" --header "Authorization:Bearer $token" \
    --max-examples "${EXAMPLES:-50}" --exclude-checks ignored_auth,positive_data_acceptance,negative_data_rejection \
    --exclude-path /v1/events --exclude-path /v1/flows --exclude-path /v1/supervisor/leave --exclude-path /v1/supervisor/stop \
    --request-timeout 30 --continue-on-failure --warnings off
