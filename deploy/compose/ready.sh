#!/bin/bash
# Asks a role on this machine whether it is ready: tandem-ready PORT. Asks a simulator that speaks TLS: tandem-ready tls PORT.
set -euo pipefail

if [[ "${1:-}" == tls ]]; then
  answer=$(printf 'GET /_sim/health HTTP/1.0\r\nHost: localhost\r\n\r\n' |
    openssl s_client -quiet -ign_eof -connect "127.0.0.1:$2" 2>/dev/null | head -n 1)
else
  exec 3<>"/dev/tcp/127.0.0.1/$1"
  printf 'GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
  read -r -t 3 answer <&3
fi
[[ "$answer" == HTTP/1.*" 200 "* ]]
