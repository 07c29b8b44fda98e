create table sync.accounts (
  account_id  uuid primary key references admin.accounts on delete cascade,
  covered_gen bigint not null default 0,
  failures    integer not null default 0,
  retry_at    timestamptz,
  last_job    uuid,
  check ((failures = 0) = (retry_at is null))
);

-- A plan as it was made, one per claim.
create table sync.runs (
  job_id      uuid not null,
  epoch       integer not null,
  account_id  uuid not null references admin.accounts on delete cascade,
  planned_at  timestamptz not null default now(),
  from_gen    bigint not null,
  to_gen      bigint not null,
  fingerprint text not null,
  plan        json not null,
  primary key (job_id, epoch)
);

create table sync.users (
  account_id     uuid not null references admin.accounts on delete cascade,
  pbx_user_id    text not null,
  microsoft_user uuid not null,
  attempted_gen  bigint not null default 0,
  confirmed_gen  bigint not null default 0,
  settled_gen    bigint not null default 0,
  outcome        text,
  code           text,
  detail         text,
  job_id         uuid,
  updated_at     timestamptz not null default now(),
  confirmed_at   timestamptz,
  settle_looks   integer not null default 0,
  settle_next    timestamptz,
  settled_at     timestamptz,
  settle_issue   text,
  primary key (account_id, pbx_user_id),
  check (settled_gen <= confirmed_gen)
);
create index users_to_settle on sync.users (settle_next) where settle_next is not null;
create index users_of_job on sync.users (job_id);

-- What Tandem has put on a Microsoft user and has not taken off again. With the mappings it is the managed set.
create table sync.standing (
  account_id     uuid not null references admin.accounts on delete cascade,
  microsoft_user uuid not null,
  pbx_user_id    text not null,
  number         text,
  policies       jsonb not null default '{}',
  since          timestamptz not null default now(),
  primary key (account_id, microsoft_user)
);
create index standing_by_user on sync.standing (account_id, pbx_user_id);

create table sync.deferred (
  account_id  uuid not null references admin.accounts on delete cascade,
  pbx_user_id text not null,
  reason      text not null,
  detail      text not null,
  since       timestamptz not null default now(),
  looks       integer not null default 0,
  next_look   timestamptz not null,
  job_id      uuid not null,
  primary key (account_id, pbx_user_id)
);
create index deferred_due on sync.deferred (next_look);

create table sync.held (
  held_id     uuid primary key,
  account_id  uuid not null references admin.accounts on delete cascade,
  job_id      uuid not null,
  fingerprint text not null,
  removals    json not null,
  created_at  timestamptz not null default now(),
  closed_at   timestamptz,
  outcome     text,
  check ((closed_at is null) = (outcome is null))
);
create unique index held_open on sync.held (account_id) where closed_at is null;

-- A write to Microsoft, recorded before it is sent. While its outcome is open it locks its user and its number,
-- across jobs and claims.
create table sync.intents (
  intent_id         uuid primary key,
  account_id        uuid not null references admin.accounts on delete cascade,
  job_id            uuid not null,
  epoch             integer not null,
  step              integer not null,
  pbx_user_id       text not null,
  microsoft_user    uuid not null,
  action            text not null check (action in ('assign_number', 'unassign_number', 'assign_policy', 'unassign_policy')),
  number            text,
  policy_type       text,
  policy_name       text,
  state             text not null check (state in ('sent', 'accepted', 'unknown', 'done', 'refused', 'not_done', 'given_up')),
  client_request_id uuid not null,
  request_id        text,
  operation         text,
  detail            text,
  created_at        timestamptz not null default now(),
  accepted_at       timestamptz,
  ended_at          timestamptz,
  read_at           timestamptz,
  read_value        text,
  next_look         timestamptz,
  check ((state in ('done', 'refused', 'not_done', 'given_up')) = (ended_at is not null)),
  check (state <> 'accepted' or operation is not null),
  check ((action in ('assign_number', 'unassign_number')) = (number is not null)),
  check ((action in ('assign_policy', 'unassign_policy')) = (policy_type is not null))
) with (fillfactor = 70);
create unique index intents_lock_user on sync.intents (account_id, microsoft_user) where ended_at is null;
create unique index intents_lock_number on sync.intents (account_id, number) where ended_at is null and number is not null;
create index intents_to_look_at on sync.intents (next_look) where next_look is not null;
create index intents_recent on sync.intents (account_id, microsoft_user, created_at);

create table vault.authorizations (
  account_id  uuid primary key references admin.accounts on delete cascade,
  tenant_id   uuid not null unique,
  client_id   text not null,
  state       text not null check (state in ('none', 'healthy', 'weakened', 'revoked', 'blocked', 'own_fault')),
  permissions text[] not null default '{}',
  bound_by    text not null,
  bound_at    timestamptz not null default now(),
  checked_at  timestamptz,
  detail      text
);

select ops.protect('sync.accounts', array['tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);
select ops.protect('sync.runs', array['tandem_teams_sync', 'tandem_operator']);
select ops.protect('sync.users', array['tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);
select ops.protect('sync.standing', array['tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);
select ops.protect('sync.deferred', array['tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);
select ops.protect('sync.held', array['tandem_teams_sync', 'tandem_operator']);
select ops.protect('sync.intents', array['tandem_teams_sync', 'tandem_operator']);
select ops.protect('vault.authorizations', array['tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);

grant select, insert, update, delete on sync.accounts, sync.runs, sync.users, sync.standing, sync.deferred, sync.held, sync.intents
  to tandem_teams_sync;
grant select, update on vault.authorizations to tandem_teams_sync;
grant select on sync.accounts, sync.users, sync.standing, sync.deferred to tandem_debouncer;
grant select on vault.authorizations to tandem_debouncer, tandem_portal;
grant select on sync.accounts, sync.runs, sync.users, sync.standing, sync.deferred, sync.held, sync.intents to tandem_portal, tandem_operator;
grant select, insert, update, delete on vault.authorizations to tandem_operator;
