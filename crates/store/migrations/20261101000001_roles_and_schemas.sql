-- One login per role of the binary. Passwords are set by `tandem migrate` from the configured files, never here.
do $roles$
declare login text;
begin
  foreach login in array array['tandem_detector', 'tandem_debouncer', 'tandem_teams_sync', 'tandem_sync_log',
                               'tandem_portal', 'tandem_operator'] loop
    begin
      execute format('create role %I login nosuperuser nocreatedb nocreaterole nobypassrls', login);
    exception when duplicate_object then null; -- the cluster may serve several databases
    end;
  end loop;
end $roles$;

create schema admin;
create schema pbx;
create schema change;
create schema queue;
create schema sync;
create schema vault;
create schema log;
create schema ops;

grant usage on schema admin to tandem_detector, tandem_debouncer, tandem_teams_sync, tandem_sync_log, tandem_portal, tandem_operator;
grant usage on schema pbx to tandem_detector, tandem_debouncer, tandem_teams_sync, tandem_portal, tandem_operator;
grant usage on schema change to tandem_detector, tandem_debouncer, tandem_teams_sync, tandem_portal, tandem_operator;
grant usage on schema queue to tandem_detector, tandem_debouncer, tandem_teams_sync, tandem_sync_log, tandem_portal, tandem_operator;
grant usage on schema sync to tandem_detector, tandem_debouncer, tandem_teams_sync, tandem_portal, tandem_operator;
grant usage on schema vault to tandem_debouncer, tandem_teams_sync, tandem_portal, tandem_operator;
grant usage on schema log to tandem_sync_log, tandem_portal, tandem_operator;
grant usage on schema ops to tandem_detector, tandem_debouncer, tandem_teams_sync, tandem_sync_log, tandem_portal, tandem_operator;

-- Closes a table with account_id: people-facing work (tandem_portal) sees the account of its context only; the
-- fleet roles named see every row. An unset context matches no row. Every migration that makes such a table calls it.
create function ops.protect(target regclass, fleet text[]) returns void language plpgsql as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format('create policy account_rows on %s to tandem_portal
                    using (account_id = nullif(current_setting(''tandem.account'', true), '''')::uuid)
                    with check (account_id = nullif(current_setting(''tandem.account'', true), '''')::uuid)', target);
  execute format('create policy fleet_rows on %s to %s using (true) with check (true)', target,
                 (select string_agg(quote_ident(r), ', ') from unnest(fleet) r));
end $$;
revoke execute on function ops.protect(regclass, text[]) from public;
