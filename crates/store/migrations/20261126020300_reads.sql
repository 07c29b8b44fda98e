-- What the detector has read of its sources, for operators alone; a row of each read, for fourteen days.
create table pbx.reads (
  source     text not null,
  started_at timestamptz not null,
  ended_at   timestamptz not null,
  users      bigint,
  unbound    bigint,
  unusable   bigint,
  held       bigint,
  changes    bigint,
  error_code text,
  error      text,
  primary key (source, started_at),
  check (ended_at >= started_at),
  check ((error_code is null) = (error is null))
);
create index reads_by_time on pbx.reads (started_at desc, source desc);
grant select, insert, delete on pbx.reads to tandem_detector;
grant select on pbx.reads, pbx.sources to tandem_portal_fleet;
grant select on pbx.reads to tandem_operator;
select ops.admit(t, 'tandem_portal_fleet') from unnest(array['pbx.held_deletions', 'pbx.push_receipts']::regclass[]) t;
