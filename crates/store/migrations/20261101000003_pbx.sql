create table pbx.sources (
  source          text primary key,
  lease_holder    text,
  lease_until     timestamptz,
  last_started_at timestamptz,
  last_ended_at   timestamptz,
  last_ok_at      timestamptz,
  next_read_at    timestamptz,
  last_users      bigint,
  last_unbound    bigint,
  last_error_code text,
  last_error      text,
  read_now        boolean not null default false,
  check ((lease_holder is null) = (lease_until is null)),
  check ((last_error_code is null) = (last_error is null))
);

-- Which account a customer of a source is. A source row of an unbound key is counted and left alone.
create table pbx.bindings (
  source      text not null,
  account_key text not null,
  account_id  uuid not null references admin.accounts on delete cascade,
  primary key (source, account_key),
  unique (account_id)
);

create table pbx.profiles (
  account_id    uuid not null references admin.accounts on delete cascade,
  pbx_user_id   text not null,
  source        text not null,
  profile       json not null,
  digest        bigint not null,
  missing_since timestamptz,
  deleted_at    timestamptz,
  updated_at    timestamptz not null default now(),
  primary key (account_id, pbx_user_id)
);
create index profiles_of_source on pbx.profiles (source, account_id);

-- Differences of a snapshot wait here until it has passed its refusal checks. Losing them loses nothing: the next
-- read finds them again. A row without profile says "was missing, is there again".
create unlogged table pbx.spool (
  source      text not null,
  run         uuid not null,
  seq         bigint not null,
  account_id  uuid not null,
  pbx_user_id text not null,
  profile     json,
  digest      bigint,
  primary key (run, account_id, seq),
  check ((profile is null) = (digest is null))
);

create table pbx.held_deletions (
  account_id  uuid not null references admin.accounts on delete cascade,
  source      text not null,
  missing     integer not null,
  known       integer not null,
  since       timestamptz not null default now(),
  released_at timestamptz,
  released_by text,
  reason      text,
  primary key (account_id, source),
  check ((released_at is null) = (released_by is null))
);

-- Push messages already taken, by the sender's webhook id.
create table pbx.push_receipts (
  account_id  uuid not null references admin.accounts on delete cascade,
  webhook_id  text not null,
  body_digest bytea not null,
  gen         bigint not null,
  changed     integer not null,
  due_at      timestamptz,
  starts_by   timestamptz,
  waiting     text,
  received_at timestamptz not null default now(),
  primary key (account_id, webhook_id)
);
create index push_receipts_age on pbx.push_receipts (received_at);

select ops.protect('pbx.bindings', array['tandem_detector', 'tandem_operator']);
select ops.protect('pbx.profiles', array['tandem_detector', 'tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);
select ops.protect('pbx.spool', array['tandem_detector']);
select ops.protect('pbx.held_deletions', array['tandem_detector', 'tandem_teams_sync', 'tandem_operator']);
select ops.protect('pbx.push_receipts', array['tandem_detector']);

grant select, insert, update on pbx.sources to tandem_detector;
grant select on pbx.sources to tandem_operator, tandem_portal;
grant update (read_now) on pbx.sources to tandem_operator;
grant select on pbx.bindings to tandem_detector;
grant select, insert, update, delete on pbx.bindings to tandem_operator;
grant select on pbx.bindings to tandem_portal;
grant select, insert, update on pbx.profiles to tandem_detector;
grant select on pbx.profiles to tandem_debouncer, tandem_teams_sync, tandem_operator, tandem_portal;
grant select, insert, delete, truncate on pbx.spool to tandem_detector;
grant select, insert, update, delete on pbx.held_deletions to tandem_detector;
grant select, update on pbx.held_deletions to tandem_operator;
grant select on pbx.held_deletions to tandem_teams_sync, tandem_portal;
grant select, insert, delete on pbx.push_receipts to tandem_detector;
