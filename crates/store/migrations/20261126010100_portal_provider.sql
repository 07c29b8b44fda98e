-- A third login of the portal, for what the provider's operators do to one account at a time: making it, licences, its
-- PBX, inviting its Global Admin, removing the integration. The login that works for customers still can do none of it.
do $roles$
begin
  create role tandem_portal_provider login nosuperuser nocreatedb nocreaterole nobypassrls;
exception when duplicate_object then null; -- the cluster may serve several databases
end $roles$;
grant usage on schema admin, pbx, change, queue, sync, vault, ops to tandem_portal_provider;
grant select on public._sqlx_migrations to tandem_portal_provider;

-- What an operator knows of an account before its tenant is connected, and whether the provider has removed the
-- integration: then no customer brings it back, until an operator invites again.
alter table admin.accounts
  add column removed_at      timestamptz,
  add column time_zone       text not null default 'UTC' check (time_zone <> ''),
  add column expected_tenant text check (expected_tenant <> '');

-- Who was invited to connect an account, until when, by whom. The secret of the link is nowhere.
create table admin.invitations (
  link_hash  bytea primary key references admin.connect_links on delete cascade,
  account_id uuid not null references admin.accounts on delete cascade,
  invited    text not null check (invited <> ''),
  invited_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index invitations_of_account on admin.invitations (account_id, created_at);
select ops.protect('admin.invitations', array['tandem_operator']);
grant select on admin.invitations to tandem_operator;

-- Opens a table with account_id to one more login, which sees and writes the account of its context alone.
create function ops.admit_account(target regclass, login text) returns void language plpgsql as $$
begin
  execute format('create policy %I on %s to %I
                    using (account_id = nullif(current_setting(''tandem.account'', true), '''')::uuid)
                    with check (account_id = nullif(current_setting(''tandem.account'', true), '''')::uuid)', login || '_rows', target, login);
end $$;
revoke execute on function ops.admit_account(regclass, text) from public;

select ops.admit_account(t, 'tandem_portal_provider') from unnest(array[
  'admin.accounts', 'admin.mappings', 'admin.policy_rules', 'admin.connect_links', 'admin.invitations', 'admin.audit', 'admin.audit_heads',
  'pbx.bindings', 'pbx.profiles', 'change.generations', 'change.log', 'sync.standing', 'sync.intents', 'queue.jobs', 'vault.authorizations',
  'vault.authorization_history', 'vault.secrets', 'vault.job_tokens']::regclass[]) t;

grant select, insert on admin.accounts to tandem_portal_provider;
grant update (label, auto_sync, next_gen, quiet_ms, max_wait_ms, licences, voice_routing_policy, dial_plan, shared_number, location_id,
              paused_until, pause_reason, time_zone, expected_tenant, removed_at, updated_at) on admin.accounts to tandem_portal_provider;
grant select on admin.mappings, admin.policy_rules, pbx.profiles, pbx.sources, sync.standing to tandem_portal_provider;
grant select (account_id, ended_at) on sync.intents to tandem_portal_provider;
grant select (account_id, state) on queue.jobs to tandem_portal_provider;
grant select, insert, delete on admin.connect_links to tandem_portal_provider;
grant update (expires_at) on admin.connect_links to tandem_portal_provider;
grant select, insert on admin.invitations to tandem_portal_provider;
grant select, insert on admin.audit, admin.audit_heads to tandem_portal_provider;
grant update (number, hash) on admin.audit_heads to tandem_portal_provider;
grant select, insert, delete on pbx.bindings to tandem_portal_provider;
grant select, insert, update (gen, changed_at) on change.generations to tandem_portal_provider;
grant select, insert on change.log to tandem_portal_provider;
grant insert on ops.outbox to tandem_portal_provider;
-- it ends an authorization and never gives one
grant select, delete on vault.authorizations to tandem_portal_provider;
grant update (state, detail) on vault.authorizations to tandem_portal_provider;
create policy tandem_portal_provider_ends on vault.authorizations as restrictive for update to tandem_portal_provider
  using (true) with check (state = 'none');
grant insert on vault.authorization_history to tandem_portal_provider;
grant select (account_id, kind), delete on vault.secrets to tandem_portal_provider;
grant select (account_id, request_id), delete on vault.job_tokens to tandem_portal_provider;
