create table admin.accounts (
  account_id           uuid primary key,
  name                 text not null unique check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  label                text not null,
  auto_sync            boolean not null default false,
  quiet_ms             integer check (quiet_ms between 100 and 600000),
  max_wait_ms          integer check (max_wait_ms between 100 and 600000),
  licences             integer not null default 0 check (licences >= 0),
  voice_routing_policy text,
  dial_plan            text,
  shared_number        text,
  location_id          text,
  paused_until         timestamptz,
  pause_reason         text,
  created_at           timestamptz not null default now(),
  updated_at           timestamptz not null default now(),
  check ((paused_until is null) = (pause_reason is null))
);

create table admin.mappings (
  account_id     uuid not null references admin.accounts on delete cascade,
  pbx_user_id    text not null,
  microsoft_user uuid not null,
  service        text not null check (service in ('voice', 'app')),
  number         text,
  created_at     timestamptz not null default now(),
  primary key (account_id, pbx_user_id),
  unique (account_id, microsoft_user)
);

create table admin.policy_rules (
  account_id uuid not null references admin.accounts on delete cascade,
  position   integer not null check (position >= 0),
  rule       jsonb not null,
  primary key (account_id, position)
);

-- What a person asked for; the debouncer carries it out. Portal and command line never touch a job.
create table admin.requests (
  request_id uuid primary key,
  account_id uuid not null references admin.accounts on delete cascade,
  kind       text not null check (kind in ('sync')),
  scope      text not null check (scope in ('changed', 'all')),
  person     text not null,
  reason     text,
  created_at timestamptz not null default now(),
  taken_at   timestamptz,
  job_id     uuid,
  check ((taken_at is null) = (job_id is null))
);
create index requests_waiting on admin.requests (created_at) where taken_at is null;

-- Mappings never outnumber the licences, also under concurrent saves: the account row is locked before counting.
create function admin.check_licences() returns trigger language plpgsql as $$
declare
  held  integer;
  sold  integer;
begin
  select licences into sold from admin.accounts where account_id = new.account_id for update;
  select count(*) into held from admin.mappings where account_id = new.account_id;
  if held > sold then
    raise exception 'account has % mappings but % licences', held, sold
      using errcode = 'check_violation', constraint = 'mappings_within_licences';
  end if;
  return null;
end $$;
create constraint trigger mappings_within_licences after insert on admin.mappings
  deferrable initially deferred for each row execute function admin.check_licences();
create constraint trigger licences_cover_mappings after update of licences on admin.accounts
  deferrable initially deferred for each row when (new.licences < old.licences) execute function admin.check_licences();

select ops.protect('admin.accounts', array['tandem_detector', 'tandem_debouncer', 'tandem_teams_sync', 'tandem_sync_log', 'tandem_operator']);
select ops.protect('admin.mappings', array['tandem_detector', 'tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);
select ops.protect('admin.policy_rules', array['tandem_teams_sync', 'tandem_operator']);
select ops.protect('admin.requests', array['tandem_debouncer', 'tandem_operator']);

grant select on admin.accounts to tandem_detector, tandem_debouncer, tandem_teams_sync, tandem_sync_log;
grant select on admin.mappings to tandem_detector, tandem_debouncer, tandem_teams_sync;
grant select on admin.policy_rules to tandem_teams_sync;
grant select, update (taken_at, job_id) on admin.requests to tandem_debouncer;
grant select, insert, update, delete on admin.accounts, admin.mappings, admin.policy_rules to tandem_operator;
grant select, insert on admin.requests to tandem_operator, tandem_portal;
grant select, update on admin.accounts to tandem_portal;
grant select, insert, update, delete on admin.mappings, admin.policy_rules to tandem_portal;
