-- When somebody signed in on the connect pages: consent is asked for soon after, or after another sign-in.
alter table admin.connect_attempts add column signed_in_at timestamptz;
