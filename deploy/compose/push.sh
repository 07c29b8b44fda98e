#!/bin/sh
# Plays the PBX of the account `alpha`: pushes user 1001 with the number given, signed after the Standard Webhooks
# scheme. usage: deploy/compose/push.sh +12125550101
set -eu

secret=${SECRET:-$(docker compose exec -T detector cat /run/tandem/push/alpha)}
url=${URL:-http://127.0.0.1:8470}/pbx/v1/accounts/alpha/users/1001
body="{\"display_name\":\"Ana\",\"extension\":\"1001\",\"did_numbers\":[\"$1\"]}"

id=msg_$(openssl rand -hex 8)
time=$(date +%s)
key=$(printf %s "${secret#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
signature=$(printf %s "$id.$time.$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)

exec curl --fail-with-body --silent --show-error --request PUT --data "$body" \
  --header 'content-type: application/json' --header "webhook-id: $id" --header "webhook-timestamp: $time" \
  --header "webhook-signature: v1,$signature" "$url"
