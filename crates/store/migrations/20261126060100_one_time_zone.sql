-- An account has one time zone, whoever sets it: an operator who makes it, or its people on the page Mail. None is that of
-- the installation; UTC stood where nobody had said anything.
alter table admin.accounts
  alter column time_zone drop default,
  alter column time_zone drop not null,
  alter column time_zone type text using nullif(time_zone, 'UTC');
alter table admin.accounts no force row level security;
alter table mail.settings no force row level security;
update admin.accounts a set time_zone = s.time_zone from mail.settings s where s.account_id = a.account_id;
alter table admin.accounts force row level security;
alter table mail.settings force row level security;
alter table mail.settings drop column time_zone;
grant update (time_zone) on admin.accounts to tandem_portal;
