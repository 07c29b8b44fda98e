-- A link that leads a Global Administrator to the connect pages of one account: to connect its tenant, or to ask for a
-- sync as a person. Only the hash of its secret is kept.
create table admin.connect_links (
  link_hash       bytea primary key check (octet_length(link_hash) = 32),
  account_id      uuid not null references admin.accounts on delete cascade,
  purpose         text not null check (purpose in ('connect', 'sync')),
  expected_tenant text check (expected_tenant <> ''),
  sync_scope      text check (sync_scope in ('changed', 'all')),
  sync_reason     text,
  made_by         text not null,
  created_at      timestamptz not null default now(),
  expires_at      timestamptz not null,
  check ((purpose = 'sync') = (sync_scope is not null)),
  check ((purpose = 'sync') = (sync_reason is not null))
);
create index connect_links_of_account on admin.connect_links (account_id);

-- One browser on its way through those pages. Of session and state only hashes are kept; the nonce and the PKCE
-- verifier are derived from the session's secret, so nobody who reads this table could finish a sign-in.
create table admin.connect_attempts (
  attempt_id    uuid primary key,
  account_id    uuid not null references admin.accounts on delete cascade,
  link_hash     bytea not null references admin.connect_links on delete cascade,
  session_hash  bytea not null unique check (octet_length(session_hash) = 32),
  step          text not null check (step in ('signing_in', 'signed_in', 'consenting', 'proving', 'authorizing', 'asked', 'refused')),
  authority     text not null,
  state_hash    bytea check (octet_length(state_hash) = 32),
  state_until   timestamptz,
  tenant_id     uuid,
  oid           uuid,
  signed_in_as  text,
  proof_id      uuid,
  request_id    uuid,
  refusal       json,
  created_at    timestamptz not null default now(),
  check ((state_hash is null) = (state_until is null)),
  check ((step in ('signed_in', 'consenting', 'proving', 'authorizing', 'asked')) <= (oid is not null)),
  check ((tenant_id is null) = (oid is null)),
  check ((step = 'refused') = (refusal is not null)),
  check ((step = 'proving') = (proof_id is not null)),
  check ((step = 'asked') = (request_id is not null))
);
create index connect_attempts_of_link on admin.connect_attempts (link_hash);

-- A tenant whose administrator has consented, so the browser says. teams-sync proves it: it alone has the app's credential.
create table vault.proofs (
  proof_id     uuid primary key,
  account_id   uuid not null references admin.accounts on delete cascade,
  tenant_id    uuid not null,
  client_id    text not null,
  admin_oid    uuid not null,
  admin_name   text not null,
  requested_at timestamptz not null default now(),
  next_look    timestamptz default now(),
  looks        integer not null default 0,
  outcome      text check (outcome in ('healthy', 'weakened', 'refused')),
  code         text,
  detail       text,
  ended_at     timestamptz,
  check ((outcome is null) = (ended_at is null)),
  check ((outcome is null) = (next_look is not null)),
  check ((outcome = 'refused') <= (code is not null))
);
create index proofs_waiting on vault.proofs (next_look) where next_look is not null;

-- The Global Administrator who connected the tenant: who may ask for a sync as a person. Nobody, where an operator bound it.
alter table vault.authorizations
  add column admin_oid uuid,
  add column admin_name text,
  add check ((admin_oid is null) = (admin_name is null));

select ops.protect('admin.connect_links', array['tandem_operator']);
select ops.protect('admin.connect_attempts', array['tandem_operator']);
select ops.protect('vault.proofs', array['tandem_teams_sync', 'tandem_operator']);

grant select, insert, delete on admin.connect_links to tandem_operator, tandem_portal;
grant update (expires_at) on admin.connect_links to tandem_operator, tandem_portal;
grant select, insert, update on admin.connect_attempts to tandem_operator, tandem_portal;
grant select, insert on vault.proofs to tandem_operator, tandem_portal;
grant select, update on vault.proofs to tandem_teams_sync;
grant insert on vault.authorizations to tandem_teams_sync;
-- a new authorization is a change like one of the settings
grant update (gen, changed_at) on change.generations to tandem_teams_sync;
grant insert on change.log to tandem_teams_sync;
