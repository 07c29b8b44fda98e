-- Secrets sealed to teams-sync's public key. Whoever takes one in may write it and never read it back: only teams-sync
-- selects the sealed bytes, and only its keyring opens them. What stands beside them is no secret.
create table vault.secrets (
  account_id uuid not null references admin.accounts on delete cascade,
  kind       text not null check (kind in ('app_credential')),
  tenant_id  uuid not null,
  key_id     text not null check (key_id ~ '^[0-9a-f]{16}$'),
  sealed     bytea not null,
  label      text not null,
  not_after  timestamptz,
  created_by text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (account_id, kind)
);

select ops.protect('vault.secrets', array['tandem_teams_sync', 'tandem_operator']);

grant insert, delete on vault.secrets to tandem_portal, tandem_operator;
grant select (account_id, kind, tenant_id, key_id, label, not_after, created_by, created_at) on vault.secrets
  to tandem_portal, tandem_operator;
grant select, delete, update (key_id, sealed) on vault.secrets to tandem_teams_sync;
