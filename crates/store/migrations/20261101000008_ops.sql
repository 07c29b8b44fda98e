-- Announcements written in the transaction of the fact they announce, published afterwards by any role.
create table ops.outbox (
  id          bigint generated always as identity primary key,
  subject     text not null,
  headers     json not null,
  payload     bytea not null,
  message_id  text not null,
  created_at  timestamptz not null default now()
);

-- Messages that could not be read, whole, with the reason. A message that is delivered again is kept once; the content
-- is part of what it is, since a stream that was made anew counts from 1 again.
create table ops.dead_letters (
  id         bigint generated always as identity primary key,
  stream     text not null,
  consumer   text not null,
  subject    text not null,
  sequence   bigint not null,
  attempts   integer not null,
  headers    json not null,
  payload    bytea not null,
  code       text not null,
  reason     text not null,
  at         timestamptz not null default now()
);
create unique index dead_letters_once on ops.dead_letters (stream, consumer, sequence, sha256(payload));

grant select, insert, update, delete on ops.outbox to tandem_detector, tandem_debouncer, tandem_teams_sync, tandem_sync_log;
grant insert on ops.outbox to tandem_portal, tandem_operator;
grant insert on ops.dead_letters to tandem_detector, tandem_debouncer, tandem_teams_sync, tandem_sync_log;
grant select on ops.outbox, ops.dead_letters to tandem_operator;
