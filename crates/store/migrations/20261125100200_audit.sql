-- Audit records, a chain of hashes per account; the account of zeros has the records that concern no account. They
-- outlive their account. Nobody changes or removes one, whatever the grants say.
create table admin.audit (
  account_id uuid not null,
  number     bigint not null check (number > 0),
  at         timestamptz not null,
  person_id  uuid,
  name       text not null,
  act        text not null,
  outcome    text not null check (outcome in ('allowed', 'refused')),
  subject    text not null,
  reason     text not null,
  hash       bytea not null check (octet_length(hash) = 32),
  primary key (account_id, number)
);

-- The end of each chain, so that a tail that was cut off is missed.
create table admin.audit_heads (
  account_id uuid primary key,
  number     bigint not null check (number >= 0),
  hash       bytea not null check (octet_length(hash) = 32)
);

create function admin.audit_is_kept() returns trigger language plpgsql as $$
begin
  raise exception 'audit records are only ever added' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_is_kept before update or delete or truncate on admin.audit
  for each statement execute function admin.audit_is_kept();

select ops.protect('admin.audit', array['tandem_operator']);
select ops.protect('admin.audit_heads', array['tandem_operator']);
grant select, insert on admin.audit to tandem_portal, tandem_operator;
grant select, insert on admin.audit_heads to tandem_portal, tandem_operator;
grant update (number, hash) on admin.audit_heads to tandem_portal, tandem_operator;
