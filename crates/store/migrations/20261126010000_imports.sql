-- Files of mappings that somebody has uploaded and looks at: what they say stays here until it is saved or an hour has
-- passed, so that what is saved is what was looked at. `lines` holds the cells that an import acts on, and no others.
create table admin.imports (
  import_id    uuid primary key,
  account_id   uuid not null references admin.accounts on delete cascade,
  person_id    uuid not null references admin.people on delete cascade,
  digest       bytea not null check (octet_length(digest) = 32),
  lines        jsonb not null,
  created_at   timestamptz not null,
  expires_at   timestamptz not null,
  confirmed_at timestamptz,
  saved        integer check (saved > 0),
  check (expires_at > created_at and expires_at <= created_at + interval '1 hour'),
  check ((confirmed_at is null) = (saved is null))
);
create index imports_of_account on admin.imports (account_id, created_at);
create index imports_old on admin.imports (expires_at);
select ops.protect('admin.imports', array['tandem_operator', 'tandem_teams_sync']);
grant select, insert, delete on admin.imports to tandem_portal;
grant update (confirmed_at, saved, lines) on admin.imports to tandem_portal;
-- teams-sync prunes
grant select (import_id, expires_at), delete on admin.imports to tandem_teams_sync;

-- whether a number is in use outside an account
create index mappings_by_number on admin.mappings (number) where number is not null;
create index standing_by_number on sync.standing (number) where number is not null;
