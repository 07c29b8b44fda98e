-- What a stored authorization is worth, why, and since when; and when it is looked at again without a job. Tenants that
-- are there already are spread over the day.
alter table vault.authorizations
  add column reason      text,
  add column since       timestamptz not null default now(),
  add column next_canary timestamptz not null default now() + random() * interval '24 hours';

-- Every change of an authorization, of a quarantine, and of Auto Sync by the system itself, for audits. Whoever
-- changes it, the row is written with it.
create table vault.authorization_history (
  id         bigint generated always as identity primary key,
  account_id uuid not null references admin.accounts on delete cascade,
  subject    text not null check (subject in ('authorization', 'quarantine', 'auto_sync')),
  from_state text not null,
  to_state   text not null,
  reason     text,
  detail     text,
  by_login   text not null default session_user,
  at         timestamptz not null default clock_timestamp()
);
create index authorization_history_of_account on vault.authorization_history (account_id, at desc);

create function vault.note_authorization() returns trigger language plpgsql as $$
begin
  if new.state in ('none', 'healthy') then
    new.reason := null;
  elsif new.reason is null or (tg_op = 'UPDATE' and new.state <> old.state and new.reason is not distinct from old.reason) then
    -- written by somebody who knows of states only
    new.reason := case new.state when 'weakened' then 'permission_missing' when 'revoked' then 'authorization_revoked'
                                 when 'blocked' then 'authorization_blocked' else 'own_credential' end;
  end if;
  if tg_op = 'INSERT' or new.state <> old.state or new.reason is distinct from old.reason then
    if tg_op = 'UPDATE' then
      new.since := clock_timestamp();
    end if;
    insert into vault.authorization_history (account_id, subject, from_state, to_state, reason, detail)
    values (new.account_id, 'authorization', case when tg_op = 'INSERT' then 'none' else old.state end, new.state,
            new.reason, new.detail);
  end if;
  return new;
end $$;

-- the owner of the schema need not be a superuser, and row-level security is forced upon it as well
alter table vault.authorizations no force row level security;
update vault.authorizations
   set reason = case state when 'weakened' then 'permission_missing' when 'revoked' then 'authorization_revoked'
                           when 'blocked' then 'authorization_blocked' else 'own_credential' end
 where state not in ('none', 'healthy');
alter table vault.authorizations force row level security;
alter table vault.authorizations add check ((state in ('none', 'healthy')) = (reason is null));
create index authorizations_canary on vault.authorizations (next_canary);
create trigger note_authorization before insert or update on vault.authorizations
  for each row execute function vault.note_authorization();

-- The provider's own app registration. While its credential is refused no customer is to blame: the jobs of all
-- tenants that know this app wait, and one of them at a time is asked whether it works again.
create table vault.apps (
  client_id  text primary key,
  state      text not null check (state in ('healthy', 'own_fault')),
  detail     text,
  since      timestamptz not null default clock_timestamp(),
  probes     integer not null default 0,
  next_probe timestamptz,
  check ((state = 'own_fault') = (next_probe is not null))
);

-- Automatic work of an account stops until its reason is gone, or until it is tried again.
alter table sync.accounts
  add column quarantine_reason text,
  add column quarantined_at    timestamptz,
  add check ((quarantine_reason is null) = (quarantined_at is null)),
  add check (quarantined_at is null or failures > 0);
create index accounts_in_quarantine on sync.accounts (account_id) where quarantined_at is not null;

-- A queued job that may not start says why. One that waited for the customer is not counted as late.
alter table queue.jobs
  add column parked  text check (parked in ('own_credential', 'not_authorized', 'quarantine')),
  add column excused boolean not null default false,
  add check (parked is null or state = 'queued');
create index jobs_parked on queue.jobs (account_id) where parked is not null;

-- Why a job of this account may not start now; null when it may. A person may try at any time, but not while the
-- provider's own credential is refused.
create function queue.parked(account uuid, job_type text) returns text language sql stable cost 10000 as $$
  select case
    when exists (select from vault.authorizations v join vault.apps p on p.client_id = v.client_id and p.state = 'own_fault'
                  where v.account_id = account) then 'own_credential'
    when job_type <> 'auto' then null
    when not exists (select from vault.authorizations v
                      where v.account_id = account and (v.state = 'healthy' or v.reason = 'permission_refused')) then 'not_authorized'
    when exists (select from sync.accounts s
                  where s.account_id = account and s.quarantined_at is not null and s.retry_at > now()) then 'quarantine'
  end
$$;

select ops.protect('vault.authorization_history', array['tandem_teams_sync', 'tandem_operator']);
grant select, insert on vault.authorization_history to tandem_teams_sync, tandem_operator;
grant select on vault.authorization_history to tandem_portal;
grant select, insert, update on vault.apps to tandem_teams_sync;
grant select on vault.apps to tandem_debouncer, tandem_portal, tandem_operator;
-- Auto Sync is switched off by the system after 28 days in quarantine; nothing else of an account is its business.
grant update (auto_sync, updated_at) on admin.accounts to tandem_teams_sync;
