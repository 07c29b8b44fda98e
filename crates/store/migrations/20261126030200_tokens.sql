-- Bearer tokens of people, for the API. Only the hash is kept. What a token may is what its person may, read for each
-- request; the directory role Global Administrator shows in a sign-in alone, so no token carries it.
create table admin.tokens (
  token_id   uuid primary key,
  person_id  uuid not null references admin.people on delete cascade,
  token_hash bytea not null unique check (octet_length(token_hash) = 32),
  name       text not null check (name <> ''),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at    timestamptz,
  revoked_at timestamptz,
  check (expires_at > created_at and expires_at <= created_at + interval '90 days')
);
create index tokens_of_person on admin.tokens (person_id, token_id desc);
grant select, insert, delete on admin.tokens to tandem_portal;
grant update (used_at, revoked_at) on admin.tokens to tandem_portal;
