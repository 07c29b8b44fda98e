#!/bin/bash
# Makes the owner of Tandem's schema and the database, at the first start of PostgreSQL. The owner is no superuser:
# it makes the roles' logins, and row-level security holds for it too.
set -euo pipefail

psql --quiet --set ON_ERROR_STOP=1 --set password="$(cat /run/tandem/owner-password)" --username postgres <<'SQL'
create role tandem_owner login createrole password :'password';
create database tandem owner tandem_owner template template0 lc_collate 'C';
revoke all on database tandem from public;
grant connect on database tandem to public;
SQL
