-- A second login of the portal, for what reaches over accounts: finding the account of somebody who signs in, and the
-- list that operators see. It reads and never writes.
do $roles$
begin
  create role tandem_portal_fleet login nosuperuser nocreatedb nocreaterole nobypassrls;
exception when duplicate_object then null; -- the cluster may serve several databases
end $roles$;
grant usage on schema admin, pbx, change, queue, sync, vault, log to tandem_portal_fleet;
grant select on public._sqlx_migrations to tandem_portal_fleet;

-- Opens a table with account_id to one more login that sees every row.
create function ops.admit(target regclass, login text) returns void language plpgsql as $$
begin
  execute format('create policy %I on %s for select to %I using (true)', login || '_rows', target, login);
  execute format('grant select on %s to %I', target, login);
end $$;
revoke execute on function ops.admit(regclass, text) from public;

select ops.admit(t, 'tandem_portal_fleet') from unnest(array[
  'admin.accounts', 'admin.mappings', 'pbx.bindings', 'change.log', 'queue.windows', 'queue.jobs', 'log.jobs',
  'sync.accounts', 'sync.users', 'sync.standing', 'sync.held', 'vault.authorizations']::regclass[]) t;

-- Somebody who has signed in, or whom a Global Admin has named: known by issuer and subject, never by name or address.
create table admin.people (
  person_id   uuid primary key,
  issuer      text not null check (issuer in ('microsoft', 'provider')),
  subject     text not null check (subject <> ''),
  tenant_id   uuid,
  oid         uuid,
  name        text not null,
  operator    boolean not null default false,
  disabled_at timestamptz,
  created_at  timestamptz not null,
  signed_in_at timestamptz,
  unique (issuer, subject),
  check ((issuer = 'microsoft') = (tenant_id is not null)),
  check ((tenant_id is null) = (oid is null)),
  check (not operator or issuer = 'provider')
);

-- What somebody is to an account. A Global Admin stands in vault.authorizations, an operator in admin.people.
create table admin.memberships (
  account_id uuid not null references admin.accounts on delete cascade,
  person_id  uuid not null references admin.people on delete cascade,
  role       text not null check (role in ('sync_contributor', 'account_manager', 'account_admin')),
  source     text not null check (source in ('claims', 'named')),
  granted_by text not null,
  created_at timestamptz not null default now(),
  primary key (account_id, person_id, role)
);
create index memberships_of_person on admin.memberships (person_id);

select ops.protect('admin.memberships', array['tandem_operator']);
select ops.admit('admin.memberships', 'tandem_portal_fleet');

grant select, insert on admin.people to tandem_portal;
grant update (name, operator, signed_in_at) on admin.people to tandem_portal;
grant select, update (disabled_at) on admin.people to tandem_operator;
grant select, insert, delete on admin.memberships to tandem_portal;
grant select on admin.memberships to tandem_operator;
