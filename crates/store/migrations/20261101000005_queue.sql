-- One row per account. No window is open while first_change_at is null; due_at is null while nothing may be cut by
-- itself (Auto Sync off, account paused).
create table queue.windows (
  account_id      uuid primary key references admin.accounts on delete cascade,
  gathered_gen    bigint not null default 0,
  first_change_at timestamptz,
  last_change_at  timestamptz,
  due_at          timestamptz,
  traceparent     text,
  check ((first_change_at is null) = (last_change_at is null)),
  check (due_at is null or first_change_at is not null)
) with (fillfactor = 50);
create index windows_due on queue.windows (due_at) where due_at is not null;

create table queue.jobs (
  job_id          uuid primary key,
  account_id      uuid not null references admin.accounts on delete cascade,
  job_type        text not null check (job_type in ('auto', 'manual')),
  scope           text not null check (scope in ('changed', 'all')),
  state           text not null check (state in ('queued', 'running', 'succeeded', 'partly', 'failed', 'cancelled')),
  cause           text not null,
  person          text,
  reason          text,
  linked_job      uuid,
  first_change_at timestamptz,
  due_at          timestamptz not null,
  queued_at       timestamptz not null default now(),
  from_gen        bigint,
  to_gen          bigint,
  epoch           integer not null default 0,
  worker          text,
  lease_until     timestamptz,
  started_at      timestamptz,
  finished_at     timestamptz,
  settled_at      timestamptz,
  event_number    bigint not null default 0,
  counts          jsonb,
  error_code      text,
  error_text      text,
  fingerprint     text,
  traceparent     text,
  check ((state = 'queued') = (started_at is null)),
  check ((state = 'running') = (lease_until is not null)),
  check ((state in ('succeeded', 'partly', 'failed', 'cancelled')) = (finished_at is not null)),
  check (settled_at is null or finished_at is not null),
  check ((state = 'failed') = (error_code is not null))
) with (fillfactor = 70);
create unique index jobs_one_queued on queue.jobs (account_id) where state = 'queued';
create unique index jobs_one_running on queue.jobs (account_id) where state = 'running';
create index jobs_waiting on queue.jobs (job_type desc, queued_at) where state = 'queued';
create index jobs_leases on queue.jobs (lease_until) where state = 'running';
create index jobs_unsettled on queue.jobs (finished_at) where finished_at is not null and settled_at is null;

-- Everything that happened to a job, numbered within it. The log keeps them; rows already kept are pruned.
create table queue.events (
  account_id  uuid not null,
  job_id      uuid not null references queue.jobs on delete cascade,
  number      bigint not null,
  at          timestamptz not null default clock_timestamp(),
  kind        text not null,
  data        json not null,
  primary key (job_id, number)
);

select ops.protect('queue.windows', array['tandem_detector', 'tandem_debouncer', 'tandem_operator']);
select ops.protect('queue.jobs', array['tandem_detector', 'tandem_debouncer', 'tandem_teams_sync', 'tandem_sync_log', 'tandem_operator']);
select ops.protect('queue.events', array['tandem_debouncer', 'tandem_teams_sync', 'tandem_sync_log', 'tandem_operator']);

grant select on queue.windows to tandem_detector, tandem_portal, tandem_operator;
grant select, insert, update on queue.windows to tandem_debouncer;
grant select, insert on queue.jobs to tandem_debouncer;
grant update (job_type, scope, cause, person, reason, due_at, event_number, from_gen) on queue.jobs to tandem_debouncer;
grant select, update, delete on queue.jobs to tandem_teams_sync;
grant select on queue.jobs to tandem_detector, tandem_sync_log, tandem_portal, tandem_operator;
grant select, insert on queue.events to tandem_debouncer, tandem_teams_sync;
grant select, delete on queue.events to tandem_sync_log;
grant select on queue.events to tandem_portal, tandem_operator;
