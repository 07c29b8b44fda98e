-- A replay of many jobs. Which jobs, and hence how many, is fixed when it is made; the portal makes and aborts it, the
-- debouncer hands it in, account by account. One at a time.
create table admin.bulk_acts (
  bulk_id      uuid primary key,
  name         text not null check (name <> ''),
  reason       text not null check (reason <> ''),
  person_id    uuid not null references admin.people on delete cascade,
  person       text not null,
  key          text not null check (length(key) between 1 and 220),
  digest       bytea not null check (octet_length(digest) = 32),
  -- the filter in words of the address; null for a selection
  filter       jsonb,
  jobs         uuid[] not null check (cardinality(jobs) between 1 and 100000),
  created_at   timestamptz not null,
  spread_at    timestamptz,
  handed_in_at timestamptz,
  aborted_at   timestamptz,
  aborted_by   text,
  finished_at  timestamptz,
  unique (person_id, key),
  check ((aborted_at is null) = (aborted_by is null))
);
create unique index bulk_one_at_a_time on admin.bulk_acts ((true)) where finished_at is null;

-- One job of a bulk act. All jobs of an account share one request.
create table admin.bulk_items (
  bulk_id    uuid not null references admin.bulk_acts on delete cascade,
  job_id     uuid not null,
  account_id uuid not null references admin.accounts on delete cascade,
  request_id uuid,
  refused    text,
  primary key (bulk_id, job_id),
  check (request_id is null or refused is null)
);
create index bulk_items_of_account on admin.bulk_items (bulk_id, account_id);
create index bulk_items_waiting on admin.bulk_items (bulk_id, account_id) where request_id is null and refused is null;

select ops.protect('admin.bulk_items', array['tandem_debouncer', 'tandem_operator']);
select ops.admit('admin.bulk_items', 'tandem_portal_fleet');
select ops.admit('admin.requests', 'tandem_portal_fleet');
grant select, insert on admin.bulk_acts to tandem_portal;
grant update (aborted_at, aborted_by) on admin.bulk_acts to tandem_portal;
grant select on admin.bulk_acts to tandem_portal_fleet;

grant select, update (spread_at, handed_in_at, finished_at) on admin.bulk_acts to tandem_debouncer;
grant select, insert, update (request_id, refused) on admin.bulk_items to tandem_debouncer;
-- it hands in what an operator asked for: the request, with its audit record in the account's own chain
grant insert on admin.requests to tandem_debouncer;
grant usage on schema log to tandem_debouncer;
select ops.admit('log.jobs', 'tandem_debouncer');
create policy debouncer_rows on admin.audit to tandem_debouncer using (true) with check (true);
create policy debouncer_rows on admin.audit_heads to tandem_debouncer using (true) with check (true);
grant select, insert on admin.audit, admin.audit_heads to tandem_debouncer;
grant update (number, hash) on admin.audit_heads to tandem_debouncer;
