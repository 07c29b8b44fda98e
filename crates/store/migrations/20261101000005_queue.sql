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

-- Locks the windows of accounts, which come sorted and once each, and moves them by the changes above their gathered
-- generation, read by a later statement than the one that locks. Only changes of Teams-enabled users, of mappings and
-- of settings open a window; only accounts with Auto Sync on and no pause get a due time; a window that waited for Auto
-- Sync is due at once. Everything is looked up by key, whatever the statistics say: a batch names few accounts of many.
create function queue.gather(
  accounts uuid[], traced uuid[], traces text[], quiet_ms integer, max_wait_ms integer
) returns table (account_id uuid, gathered_gen bigint, first_change_at timestamptz, due_at timestamptz) language plpgsql
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
  set jit = off as $$
declare
  held   uuid[];
  gens   bigint[];
  places tid[];
begin
  for pass in 1 .. 2 loop
    select array_agg(h.account_id), array_agg(h.gathered_gen), array_agg(h.place) into held, gens, places
      from (select w.account_id, w.gathered_gen, w.ctid as place from queue.windows w
             where w.account_id = any (accounts) order by w.account_id for update) h;
    exit when pass = 2 or cardinality(held) = cardinality(accounts);
    insert into queue.windows (account_id)
    select a.account_id from admin.accounts a
     where a.account_id = any (accounts) and (held is null or a.account_id <> all (held))
    on conflict do nothing;
  end loop;
  return query
  update queue.windows w
     set gathered_gen = c.upto,
         first_change_at = least(w.first_change_at, c.first_at), last_change_at = greatest(w.last_change_at, c.last_at),
         traceparent = coalesce(w.traceparent, case when c.first_at is not null then (
           select t.trace from unnest(traced, traces) as t (id, trace) where t.id = n.id limit 1) end),
         due_at = case
           when coalesce(w.first_change_at, c.first_at) is null or not a.auto_sync or a.paused_until > now() then null
           when w.first_change_at is not null and w.due_at is null then now()
           else least(greatest(w.last_change_at, c.last_at) + coalesce(a.quiet_ms, gather.quiet_ms) * interval '1 ms',
                      least(w.first_change_at, c.first_at) + coalesce(a.max_wait_ms, gather.max_wait_ms) * interval '1 ms') end
    from unnest(held, gens, places) as n (id, gen, place)
   cross join lateral (
     select max(l.gen) as upto, min(l.detected_at) filter (where l.counts) as first_at,
            max(l.detected_at) filter (where l.counts) as last_at
       from (select l.gen, l.detected_at,
                    l.kind in ('mapped', 'unmapped', 'settings')
                      or exists (select from admin.mappings m where m.account_id = l.account_id and m.pbx_user_id = l.pbx_user_id)
                      or exists (select from sync.standing s where s.account_id = l.account_id and s.pbx_user_id = l.pbx_user_id)
                    as counts
               from change.log l where l.account_id = n.id and l.gen > n.gen offset 0) l) c
    join admin.accounts a on a.account_id = n.id
   -- a row stays where it is while it is locked
   where w.ctid = n.place and c.upto is not null
  returning w.account_id, w.gathered_gen, w.first_change_at, w.due_at;
end $$;

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
