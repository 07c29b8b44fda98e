-- Records of jobs and steps, partitioned by month. Job ids are UUIDs of version 7, which sort by time, so the id is
-- the partition key: a record is found by its id alone, and a month is dropped whole when its time has come.
create table log.jobs (
  job_id          uuid not null,
  account_id      uuid not null,
  job_type        text not null,
  scope           text not null,
  state           text not null,
  cause           text,
  person          text,
  reason          text,
  linked_job      uuid,
  queued_at       timestamptz not null,
  due_at          timestamptz,
  first_change_at timestamptz,
  started_at      timestamptz,
  finished_at     timestamptz,
  settled_at      timestamptz,
  from_gen        bigint,
  to_gen          bigint,
  counts          jsonb,
  error_code      text,
  error_text      text,
  fingerprint     text,
  event_number    bigint not null,
  primary key (job_id)
) partition by range (job_id);
create index jobs_of_account on log.jobs (account_id, job_id desc);
create index jobs_by_state on log.jobs (state, job_id desc);
create index jobs_of_change on log.jobs (account_id, to_gen) where to_gen is not null;

create table log.steps (
  job_id         uuid not null,
  number         bigint not null,
  account_id     uuid not null,
  at             timestamptz not null,
  kind           text not null,
  pbx_user_id    text,
  microsoft_user uuid,
  action         text,
  outcome        text,
  before         text,
  after          text,
  reason         text,
  detail         text,
  request_id     text,
  data           json not null,
  primary key (job_id, number)
) partition by range (job_id);
create index steps_of_user on log.steps (account_id, pbx_user_id, job_id desc);

create table log.rollups (
  account_id uuid not null,
  hour       timestamptz not null,
  job_type   text not null,
  state      text not null,
  jobs       bigint not null,
  primary key (account_id, hour, job_type, state)
);

-- The smallest version-7 UUID of a moment.
create function log.uuid_at(moment timestamptz) returns uuid language sql immutable strict as $$
  select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || '7000' || '8000000000000000')::uuid
$$;

-- Makes the partitions of a month. Runs as the owner, since the log's role may not create tables. The lock keeps two
-- instances from making the same table; months are UTC months whatever the session says.
create function log.make_month(month date) returns void language plpgsql security definer
  set search_path = pg_catalog set timezone = 'UTC' as $$
declare
  kept text;
  part text;
begin
  perform pg_advisory_xact_lock(hashtext('log.make_month'));
  foreach kept in array array['jobs', 'steps'] loop
    part := format('log.%I', kept || to_char(month, '_YYYY_MM'));
    if to_regclass(part) is null then
      execute format('create table %s partition of log.%I for values from (%L) to (%L)', part, kept,
                     log.uuid_at(date_trunc('month', month)::timestamptz),
                     log.uuid_at((date_trunc('month', month) + interval '1 month')::timestamptz));
      execute format('alter table %s enable row level security', part);
      execute format('alter table %s force row level security', part);
    end if;
  end loop;
end $$;

-- Drops the partitions of months that ended before the limits; the names of dropped partitions are returned.
create function log.drop_months(jobs_before date, steps_before date) returns setof text language plpgsql security definer
  set search_path = pg_catalog set timezone = 'UTC' as $$
declare
  part record;
begin
  for part in
    select c.relname::text as name from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'log' and c.relname ~ '^(jobs|steps)_\d{4}_\d{2}$'
  loop
    if to_date(right(part.name, 7), 'YYYY_MM') + interval '1 month'
         <= (case when part.name like 'jobs%' then jobs_before else steps_before end) then
      execute format('drop table log.%I', part.name);
      return next part.name;
    end if;
  end loop;
end $$;
revoke execute on function log.make_month(date), log.drop_months(date, date) from public;
grant execute on function log.make_month(date), log.drop_months(date, date) to tandem_sync_log;
grant execute on function log.uuid_at(timestamptz) to public;

select ops.protect('log.jobs', array['tandem_sync_log', 'tandem_operator']);
select ops.protect('log.steps', array['tandem_sync_log', 'tandem_operator']);
select ops.protect('log.rollups', array['tandem_sync_log', 'tandem_operator']);

grant select, insert, update on log.jobs, log.rollups to tandem_sync_log;
grant select, insert on log.steps to tandem_sync_log;
grant select on log.jobs, log.steps, log.rollups to tandem_portal, tandem_operator;
