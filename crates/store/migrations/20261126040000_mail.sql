-- Mail: who gets it, what was sent, and what became of it.
do $roles$
begin
  create role tandem_notifier login nosuperuser nocreatedb nocreaterole nobypassrls;
exception when duplicate_object then null; -- the cluster may serve several databases
end $roles$;

create schema mail;
grant usage on schema mail to tandem_notifier, tandem_portal, tandem_operator;
grant usage on schema admin, pbx, change, queue, sync, vault, log to tandem_notifier;
grant select on public._sqlx_migrations to tandem_notifier;

select ops.admit(t, 'tandem_notifier') from unnest(array[
  'admin.accounts', 'admin.mappings', 'pbx.profiles', 'change.log', 'queue.windows', 'queue.jobs', 'log.jobs',
  'sync.accounts', 'sync.users', 'sync.standing', 'sync.held', 'vault.authorizations',
  'vault.authorization_history']::regclass[]) t;
grant select on vault.apps, log.failures to tandem_notifier;

-- When an account gets its mail; one without a row has the installation's time zone and hour.
create table mail.settings (
  account_id uuid primary key references admin.accounts on delete cascade,
  time_zone  text not null check (time_zone <> ''),
  hour       smallint not null check (hour between 0 and 23),
  updated_at timestamptz not null
);

-- Who gets it beside the Global Admin, and where the Global Admin reads mail when not under the name of the sign-in.
create table mail.recipients (
  account_id uuid not null references admin.accounts on delete cascade,
  address    text not null check (length(address) <= 254 and address ~ '^[^[:space:][:cntrl:]<>(),;:"@]+@[a-z0-9.-]+$'),
  role       text not null check (role in ('global_admin', 'further', 'second_contact')),
  added_by   text not null,
  added_at   timestamptz not null,
  primary key (account_id, address)
);
create unique index recipients_one_global_admin on mail.recipients (account_id) where role = 'global_admin';

-- A mail is made once per account, kind and period; one without account goes to the provider. Its words are made when it
-- is handed over, so what is kept here is what it is about.
create table mail.mails (
  mail_id     uuid primary key,
  account_id  uuid references admin.accounts on delete cascade,
  kind        text not null check (kind in ('reminder', 'invitation', 'auto_sync_on', 'auto_sync_off', 'quarantine',
                                            'quarantine_day', 'incident', 'test')),
  period      text not null check (period <> ''),
  about       json not null,
  subject     text,
  quiet_until timestamptz,
  created_at  timestamptz not null,
  unique nulls not distinct (account_id, kind, period),
  check ((kind = 'incident') = (account_id is null)),
  check ((kind = 'reminder') = (quiet_until is not null))
);
create index mails_of_account on mail.mails (account_id, created_at desc);
create index mails_old on mail.mails (created_at);

-- A mail to one address. `sending` is committed before the words are handed over: whoever finds it after its claim has
-- lapsed does not know whether they arrived, and does not send again.
create table mail.deliveries (
  mail_id       uuid not null references mail.mails on delete cascade,
  address       text not null,
  account_id    uuid references admin.accounts on delete cascade,
  outcome       text not null default 'waiting' check (outcome in ('waiting', 'sending', 'sent', 'unknown', 'refused',
                                                                   'expired', 'superseded')),
  tries         integer not null default 0,
  next_try      timestamptz not null,
  claim         uuid,
  claimed_until timestamptz,
  handed_at     timestamptz,
  ended_at      timestamptz,
  reply         text,
  primary key (mail_id, address),
  check ((claim is null) = (claimed_until is null)),
  check ((outcome in ('waiting', 'sending')) = (ended_at is null)),
  check (outcome <> 'sending' or (claim is not null and handed_at is not null))
);
create index deliveries_due on mail.deliveries (next_try) where outcome = 'waiting';
create index deliveries_open on mail.deliveries (claimed_until) where outcome = 'sending';
create index deliveries_of_account on mail.deliveries (account_id, address);

select ops.protect('mail.settings', array['tandem_notifier', 'tandem_operator']);
select ops.protect('mail.recipients', array['tandem_notifier', 'tandem_operator']);
select ops.protect('mail.mails', array['tandem_notifier', 'tandem_operator']);
select ops.protect('mail.deliveries', array['tandem_notifier', 'tandem_operator']);

grant select on mail.settings, mail.recipients to tandem_notifier, tandem_operator;
grant select, insert, update, delete on mail.settings, mail.recipients to tandem_portal;
grant select, insert, delete, update (subject) on mail.mails to tandem_notifier;
grant select, insert, update on mail.deliveries to tandem_notifier;
grant select, insert on mail.mails, mail.deliveries to tandem_portal, tandem_operator;

-- The link of an invitation is made when its mail is handed over.
create policy tandem_notifier_rows on admin.connect_links to tandem_notifier using (true) with check (true);
grant select, insert, delete, update (expires_at) on admin.connect_links to tandem_notifier;

-- That Auto Sync was switched on is kept beside its end, whoever does it.
create function vault.note_auto_sync() returns trigger language plpgsql as $$
begin
  insert into vault.authorization_history (account_id, subject, from_state, to_state)
  values (new.account_id, 'auto_sync', 'off', 'on');
  return null;
end $$;
create trigger note_auto_sync after update of auto_sync on admin.accounts
  for each row when (new.auto_sync and not old.auto_sync) execute function vault.note_auto_sync();
grant insert on vault.authorization_history to tandem_portal;
create index authorization_history_to_mail on vault.authorization_history (at) where subject in ('quarantine', 'auto_sync');
