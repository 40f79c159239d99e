#!/usr/bin/env bash
# Sends one payload as signed intake and prints the receipt. Needs bash, curl and openssl.
#
#   export GLADHAND_API_KEY=... GLADHAND_KEY_ID=... GLADHAND_SIGNING_KEY=...
#   examples/sign-intake.sh <VIN> <file.json> [http://127.0.0.1:8080] [<Idempotency-Key>]
set -euo pipefail

vin="$1" file="$2" at="${3:-http://127.0.0.1:8080}" idempotency_key="${4:-}"
key_id="${GLADHAND_KEY_ID:?the id of the API key}" key="${GLADHAND_SIGNING_KEY:?the signing key, 64 hex digits}"

# On standard input: the arguments of a process can be read by everybody on its machine.
token="$(printf 'X-API-KEY: %s\n' "${GLADHAND_API_KEY:?the API key}" |
  curl -sS --fail-with-body -X POST -H @- "$at/api/v1/partners/authenticate" |
  sed -n 's/.*"accessToken":"\([^"]*\)".*/\1/p')"

path="/api/v1/telemetry/intake/$vin"
# Host and port as curl puts them into Host: in lower case, and no port when it is the scheme's own.
authority="$(printf '%s' "${at#*://}" | cut -d/ -f1 | tr '[:upper:]' '[:lower:]')"
digest="sha-256=:$(openssl dgst -sha256 -binary "$file" | openssl base64 -A):"

# What is covered, line by line, and the names of it in the same order.
base="\"@method\": POST
\"@authority\": $authority
\"@path\": $path
\"content-digest\": $digest"
names='"@method" "@authority" "@path" "content-digest"'
headers=(-H "Content-Digest: $digest")
if [ -n "$idempotency_key" ]; then
  base="$base
\"idempotency-key\": $idempotency_key"
  names="$names \"idempotency-key\""
  headers+=(-H "Idempotency-Key: $idempotency_key")
fi
parameters="($names);created=$(date +%s);nonce=\"$(openssl rand -hex 16)\";keyid=\"$key_id\""
base="$base
\"@signature-params\": $parameters"

# HMAC (RFC 2104) in two passes, because openssl takes its key only as an argument. The 64 hex digits stand for 32
# bytes, which zeros fill up to a block of 64; each byte is combined with $1.
key_block() {
  local at byte
  for ((at = 0; at < 128; at += 2)); do
    byte="${key:at:2}"
    printf '%b' "\\x$(printf '%02x' "$((16#${byte:-00} ^ $1))")"
  done
}
sha256() { openssl dgst -sha256 -binary; }
# No newline after the last line of the base.
signature="$({ key_block 0x5c && { key_block 0x36 && printf '%s' "$base"; } | sha256; } | sha256 | openssl base64 -A)"

printf 'Authorization: Bearer %s\n' "$token" | curl -sS --fail-with-body -X POST "$at$path" "${headers[@]}" -H @- \
  -H 'Content-Type: application/json' \
  -H "Signature-Input: gladhand=$parameters" \
  -H "Signature: gladhand=:$signature:" \
  --data-binary "@$file"
echo
