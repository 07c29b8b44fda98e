-- Readings of an account's list of Microsoft users. A cut one says where it ended; it takes nobody off the list.
create table sync.discoveries (
  discovery_id uuid primary key,
  account_id   uuid not null references admin.accounts on delete cascade,
  job_id       uuid not null,
  epoch        integer not null,
  state        text not null check (state in ('running', 'complete', 'cut')),
  started_at   timestamptz not null default clock_timestamp(),
  ended_at     timestamptz,
  pages        integer not null default 0,
  users        integer not null default 0,
  gone         integer not null default 0,
  counts       jsonb not null default '{}',
  cut_at       text,
  detail       text,
  check ((state = 'running') = (ended_at is null)),
  check ((state = 'cut') = (cut_at is not null))
);
create unique index discoveries_running on sync.discoveries (account_id) where ended_at is null;
create index discoveries_latest on sync.discoveries (account_id, started_at desc);

-- What each user of the tenant was when it was last seen.
create table sync.microsoft_users (
  account_id      uuid not null references admin.accounts on delete cascade,
  microsoft_user  uuid not null,
  upn             text not null,
  display_name    text,
  kind            text not null,
  phone_plan      text not null,
  account_enabled boolean not null,
  not_eligible    text,
  flags           text[] not null default '{}',
  discovery_id    uuid not null,
  first_seen_at   timestamptz not null default clock_timestamp(),
  seen_at         timestamptz not null default clock_timestamp(),
  gone_at         timestamptz,
  primary key (account_id, microsoft_user)
);
create index microsoft_users_by_name on sync.microsoft_users (account_id, lower(upn), microsoft_user);

select ops.protect('sync.discoveries', array['tandem_teams_sync', 'tandem_operator']);
select ops.protect('sync.microsoft_users', array['tandem_teams_sync', 'tandem_operator']);
grant select, insert, update, delete on sync.discoveries, sync.microsoft_users to tandem_teams_sync;
grant select on sync.discoveries, sync.microsoft_users to tandem_portal, tandem_operator;
