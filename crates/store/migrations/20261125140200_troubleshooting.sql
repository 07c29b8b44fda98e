-- The PBX's *Enable Sync*: while it is on for an account, the sources of that account are read whole every minute. Off
-- by default, switched on by an operator with a reason, and over after a day. Nothing needs it.
create table pbx.troubleshooting (
  account_id  uuid primary key references admin.accounts on delete cascade,
  until       timestamptz not null,
  person      text not null,
  reason      text not null check (reason <> ''),
  switched_at timestamptz not null,
  check (until <= switched_at + interval '24 hours')
);
select ops.protect('pbx.troubleshooting', array['tandem_detector', 'tandem_operator']);
grant select, insert, update, delete on pbx.troubleshooting to tandem_portal;
grant select on pbx.troubleshooting to tandem_detector, tandem_operator;
