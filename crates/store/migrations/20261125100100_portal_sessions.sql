-- A browser on its way through a sign-in. Nonce and PKCE verifier are derived from the secret in its cookie, of which
-- only the hash is here: nobody who reads this table could finish a sign-in. A row is used once.
create table admin.sign_ins (
  state_hash   bytea primary key check (octet_length(state_hash) = 32),
  browser_hash bytea not null check (octet_length(browser_hash) = 32),
  issuer       text not null check (issuer in ('microsoft', 'provider')),
  go_on        text not null check (go_on ~ '^/($|[^/\\])'),
  expires_at   timestamptz not null
);
create index sign_ins_old on admin.sign_ins (expires_at);

-- Somebody who is signed in. Only the hash of the cookie's secret is kept.
create table admin.sessions (
  session_hash bytea primary key check (octet_length(session_hash) = 32),
  person_id    uuid not null references admin.people on delete cascade,
  created_at   timestamptz not null,
  seen_at      timestamptz not null,
  ends_at      timestamptz not null,
  -- the sign-in showed the directory role Global Administrator
  global_admin boolean not null,
  check (seen_at >= created_at and ends_at > created_at)
);
create index sessions_of_person on admin.sessions (person_id);
create index sessions_old on admin.sessions (ends_at);

-- An operator's look into an account, with the reason; it ends by itself.
create table admin.visits (
  account_id   uuid not null references admin.accounts on delete cascade,
  session_hash bytea not null references admin.sessions on delete cascade,
  reason       text not null check (reason <> ''),
  entered_at   timestamptz not null,
  ends_at      timestamptz not null check (ends_at > entered_at),
  primary key (account_id, session_hash)
);
select ops.protect('admin.visits', array['tandem_operator']);

-- Answers to posts that may be sent again under the same key.
create table admin.idempotency (
  account_id uuid not null references admin.accounts on delete cascade,
  person_id  uuid not null references admin.people on delete cascade,
  key        text not null check (length(key) between 1 and 220),
  digest     bytea not null check (octet_length(digest) = 32),
  request_id uuid not null,
  created_at timestamptz not null,
  primary key (account_id, person_id, key)
);
create index idempotency_old on admin.idempotency (account_id, created_at);
select ops.protect('admin.idempotency', array['tandem_operator']);

grant select, insert, delete on admin.sign_ins to tandem_portal;
grant select, insert, delete on admin.sessions to tandem_portal;
grant update (seen_at) on admin.sessions to tandem_portal;
grant select, delete on admin.sessions to tandem_operator;
grant select, insert, update, delete on admin.visits to tandem_portal;
grant select, insert, delete on admin.idempotency to tandem_portal;
