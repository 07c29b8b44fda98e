-- A person may ask for a sync with an access token of their own, signed in just now. The marker says whose it is.
alter table admin.requests add column signed_in_oid uuid;
alter table admin.requests add constraint requests_account unique (request_id, account_id);
alter policy fleet_rows on admin.requests to tandem_debouncer, tandem_operator, tandem_teams_sync;
grant select (request_id, account_id, taken_at, job_id, signed_in_oid) on admin.requests to tandem_teams_sync;

-- The request whose token a job uses; none for a job that uses the stored authorization.
alter table queue.jobs add column token_request uuid;
grant update (token_request) on queue.jobs to tandem_debouncer;
create index jobs_with_token on queue.jobs (token_request) where token_request is not null;
create index jobs_with_token_unsettled on queue.jobs (account_id)
  where token_request is not null and finished_at is not null and settled_at is null;

-- The token itself, sealed for exactly this request, account, tenant and person. It is erased when its job has settled,
-- and when it has expired.
create table vault.job_tokens (
  request_id uuid primary key,
  account_id uuid not null references admin.accounts on delete cascade,
  tenant_id  uuid not null,
  oid        uuid not null,
  key_id     text not null check (key_id ~ '^[0-9a-f]{16}$'),
  sealed     bytea not null,
  expires_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp(),
  foreign key (request_id, account_id) references admin.requests (request_id, account_id) on delete cascade
);

create index job_tokens_by_account on vault.job_tokens (account_id);

select ops.protect('vault.job_tokens', array['tandem_teams_sync', 'tandem_operator']);

grant insert on vault.job_tokens to tandem_portal, tandem_operator;
grant select (request_id, account_id, tenant_id, oid, key_id, expires_at, created_at) on vault.job_tokens
  to tandem_portal, tandem_operator;
grant select, delete, update (key_id, sealed) on vault.job_tokens to tandem_teams_sync;
