#!/bin/sh
# Makes what the containers need of each other, once: passwords, certificates, and a configuration for each role.
#
# usage: setup.sh FROM TO. FROM holds deploy/compose and deploy/nats as in the checkout. TO holds a folder for each
# container, which sees its own and no other. Passwords and certificates of an earlier start stay as they are;
# configurations are written anew.
set -eu
umask 077
from=$1
to=$2

random() {
  openssl rand -hex 24
}

# certificate FOLDER NAME: signed by the authority of this start
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" \
    -keyout "$1/server.key" -out "$ca/request" 2>/dev/null
  printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\n' \
    "$2" >"$ca/extensions"
  openssl x509 -req -in "$ca/request" -CA "$ca/ca.pem" -CAkey "$ca/ca.key" -CAcreateserial -days 3650 \
    -extfile "$ca/extensions" -out "$1/server.pem" 2>/dev/null
}

for folder in postgres nats nats-data msgraph-sim migrate detector debouncer teams-sync sync-log operator; do
  mkdir -p "$to/$folder"
done

if [ ! -e "$to/migrate/made" ]; then
  ca=$(mktemp -d)
  # the authority's key is forgotten at the end: nothing more can be signed with it
  trap 'rm -rf "$ca"' EXIT
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=Tandem containers" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
    -keyout "$ca/ca.key" -out "$ca/ca.pem" 2>/dev/null
  for server in postgres nats msgraph-sim; do
    certificate "$to/$server" "$server"
  done

  random >"$to/postgres/superuser-password"
  random >"$to/postgres/owner-password"
  mkdir -p "$to/migrate/passwords"
  cp "$to/postgres/owner-password" "$to/migrate/owner-password"
  for login in detector debouncer teams_sync sync_log portal portal_fleet portal_provider notifier operator; do
    random >"$to/migrate/passwords/tandem_$login"
  done

  : >"$to/nats/passwords.conf"
  for role in detector debouncer teams-sync sync-log operator; do
    login=$(echo "$role" | tr - _)
    mkdir -p "$to/$role/passwords"
    cp "$to/migrate/passwords/tandem_$login" "$to/$role/passwords/"
    cp "$ca/ca.pem" "$to/$role/ca.pem"
    random >"$to/$role/nats-password"
    name=$(echo "$login" | tr '[:lower:]' '[:upper:]')
    printf '%s_PASSWORD: "%s"\n' "$name" "$(cat "$to/$role/nats-password")" >>"$to/nats/passwords.conf"
  done
  # the notifier has no user at the broker; the file is there because the common configuration names one
  mkdir -p "$to/notifier/passwords"
  cp "$to/migrate/passwords/tandem_notifier" "$to/notifier/passwords/"
  cp "$ca/ca.pem" "$to/notifier/ca.pem"
  random >"$to/notifier/nats-password"
  cp "$ca/ca.pem" "$to/migrate/ca.pem"
  # `tandem doctor` runs beside `tandem migrate`, since it looks at every role's secrets
  cp "$to/operator/nats-password" "$to/migrate/nats-password"

  # the credential of the provider's app at Microsoft: here, at the simulator
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Tandem app" \
    -keyout "$ca/app-key.pem" -out "$ca/app-cert.pem" 2>/dev/null
  for role in teams-sync operator migrate; do
    cp "$ca/app-key.pem" "$ca/app-cert.pem" "$to/$role/"
  done
  pem=$(awk '{ printf "%s\\\\n", $0 }' "$ca/app-cert.pem")
  sed "s|@CERTIFICATE@|$pem|" "$from/compose/world.json" >"$to/msgraph-sim/world.json"

  # what the PBX of the account `alpha` signs its pushes with
  mkdir -p "$to/detector/push" "$to/migrate/push"
  printf 'whsec_%s\n' "$(openssl rand -base64 32)" >"$to/detector/push/alpha"
  touch "$to/migrate/made"
fi

cp "$from/nats/tandem.conf" "$to/nats/tandem.conf"
for role in detector debouncer teams-sync sync-log notifier operator; do
  sed "s|@NATS_USER@|$role|" "$from/compose/tandem.toml" >"$to/$role/tandem.toml"
done
sed "s|@NATS_USER@|operator|" "$from/compose/tandem.toml" >"$to/migrate/tandem.toml"

# the image of PostgreSQL runs as 999, everything else as 10001
if [ "$(id -u)" = 0 ]; then
  chown -R 10001:10001 "$to"/*
  chown -R 999:999 "$to/postgres"
fi
echo "passwords, certificates and configurations are in place"
