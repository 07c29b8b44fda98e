-- What an operator's command wants to know of a tenant that teams-sync alone can speak to, because the account has an
-- app registration of its own. The request of the same id carries it to teams-sync; the row is deleted once it was read.
create table sync.looks (
  look_id    uuid primary key references admin.requests (request_id) on delete cascade,
  account_id uuid not null references admin.accounts on delete cascade,
  question   json not null,
  answer     json,
  created_at timestamptz not null default clock_timestamp()
);
create index looks_old on sync.looks (created_at);

alter table admin.requests drop constraint requests_kind_check;
alter table admin.requests add constraint requests_kind_check
  check (kind in ('sync', 'preview', 'preview_undo', 'run', 'approve', 'reject', 'undo', 'look'));

select ops.protect('sync.looks', array['tandem_teams_sync', 'tandem_operator']);
grant select, insert, delete on sync.looks to tandem_operator;
grant select, delete, update (answer) on sync.looks to tandem_teams_sync;
