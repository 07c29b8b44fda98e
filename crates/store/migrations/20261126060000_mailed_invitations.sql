-- An invitation is shown as a link, or it goes out by mail; then its link is made, and noted here, when the mail is handed
-- over. The newest invitation of an account is the one that counts, whichever way it went.
alter table admin.invitations drop constraint invitations_pkey;
alter table admin.invitations
  add column invitation_id uuid primary key default gen_random_uuid(),
  add column mail_id       uuid unique references mail.mails on delete cascade,
  add constraint invitations_link_key unique (link_hash),
  alter column link_hash  drop not null,
  alter column expires_at drop not null,
  add constraint invitations_way check (link_hash is not null or mail_id is not null);

grant usage on schema mail to tandem_portal_provider;
select ops.admit_account(t, 'tandem_portal_provider') from unnest(array['mail.mails', 'mail.deliveries']::regclass[]) t;
grant select, insert on mail.mails, mail.deliveries to tandem_portal_provider;

create policy tandem_notifier_rows on admin.invitations to tandem_notifier using (true) with check (true);
grant select, update (link_hash, expires_at) on admin.invitations to tandem_notifier;
