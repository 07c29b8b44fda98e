-- What jobs and their users failed by, as fingerprints of cleaned texts: the same fault of many accounts is one group.
-- Jobs that ended before this release have none.
alter table log.jobs add column failures text[];
create index jobs_with_failures on log.jobs (job_id desc) where failures is not null;

-- What a fingerprint stands for. The text names no account, user or number.
create table log.failures (
  fingerprint text primary key,
  code        text not null,
  text        text not null,
  noted_at    timestamptz not null default now()
);
grant select, insert, delete, update (noted_at) on log.failures to tandem_sync_log;
grant select on log.failures to tandem_portal_fleet, tandem_operator;
