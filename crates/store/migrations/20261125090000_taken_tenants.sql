-- Whether another account has a tenant. The connect pages see the rows of their own account alone, and have to say so
-- before somebody consents. They are told yes or no, and never whose it is. The function reads as the owner of the table,
-- upon whom row-level security is forced as well.
create policy owner_reads on vault.authorizations for select to current_user using (true);

create function vault.taken_by_another(account uuid, tenant uuid) returns boolean language sql stable security definer
  set search_path = pg_catalog as $$
  select exists (select from vault.authorizations v where v.tenant_id = tenant and v.account_id <> account)
$$;
revoke execute on function vault.taken_by_another(uuid, uuid) from public;
grant execute on function vault.taken_by_another(uuid, uuid) to tandem_portal, tandem_operator;
