-- Next Gen Teams Sync: the switch that gates Auto Sync. Whoever syncs by itself today has it on.
alter table admin.accounts add column next_gen boolean not null default false;
update admin.accounts set next_gen = true where auto_sync;

-- What a customer saves of an account: never how many licences it has, nor what it is called (A25).
revoke update on admin.accounts from tandem_portal;
grant update (next_gen, auto_sync, quiet_ms, max_wait_ms, updated_at) on admin.accounts to tandem_portal;
