-- What people ask for beside a sync: a preview, running one, approving or rejecting held removals, an undo. `subject` is
-- the preview or the held list that it is about, `linked_job` the job to undo. Requests that lead to a job are taken by the debouncer, the
-- others by teams-sync, which answers in place.
alter table admin.requests drop constraint requests_kind_check;
alter table admin.requests drop constraint requests_check;
alter table admin.requests add constraint requests_kind_check
  check (kind in ('sync', 'preview', 'preview_undo', 'run', 'approve', 'reject', 'undo'));
alter table admin.requests add column subject uuid;
alter table admin.requests add column linked_job uuid;
alter table admin.requests add column answered_at timestamptz;
alter table admin.requests add column answer_code text;
alter table admin.requests add column answer_text text;
alter table admin.requests add constraint requests_check check (job_id is null or taken_at is not null);
alter table admin.requests add constraint requests_answer_check check (answered_at is null or taken_at is not null);
alter table admin.requests add constraint requests_subject_check check (
  case when kind in ('run', 'approve', 'reject') then subject is not null
       when kind in ('undo', 'preview_undo') then linked_job is not null
       else subject is null and linked_job is null end);
alter policy fleet_rows on admin.requests to tandem_debouncer, tandem_teams_sync, tandem_operator;
grant select, update (taken_at, answered_at, answer_code, answer_text) on admin.requests to tandem_teams_sync;

-- What the job was ordered to do exactly: the preview that it runs, or the held list that was approved.
alter table queue.jobs add column subject uuid;

-- A list of held removals never changes: other removals are another list.
alter table sync.held add column gen bigint not null default 0;
alter table sync.held add column person text;
alter table sync.held add column reason text;
alter table sync.held add column decided_job uuid;

-- What a person has decided about a user; it holds until the next change of that user.
create table sync.decisions (
  account_id     uuid not null references admin.accounts on delete cascade,
  pbx_user_id    text not null,
  microsoft_user uuid not null,
  kind           text not null check (kind in ('approved', 'rejected', 'undone')),
  gen            bigint not null,
  person         text not null,
  reason         text,
  job_id         uuid,
  decided_at     timestamptz not null default clock_timestamp(),
  primary key (account_id, pbx_user_id, microsoft_user)
);

-- Plans that a person looked at without anything being written. A failed look has a code.
create table sync.previews (
  preview_id  uuid primary key,
  account_id  uuid not null references admin.accounts on delete cascade,
  kind        text not null check (kind in ('sync', 'undo')),
  scope       text not null check (scope in ('changed', 'all')),
  job_id      uuid,
  person      text not null,
  from_gen    bigint,
  to_gen      bigint,
  fingerprint text,
  plan        json,
  error_code  text,
  error_text  text,
  created_at  timestamptz not null default clock_timestamp(),
  check ((kind = 'undo') = (job_id is not null)),
  check ((plan is null) = (error_code is not null)),
  check ((plan is null) = (fingerprint is null))
);
create index previews_old on sync.previews (created_at);

select ops.protect('sync.decisions', array['tandem_teams_sync', 'tandem_operator']);
select ops.protect('sync.previews', array['tandem_teams_sync', 'tandem_operator']);
grant select, insert, update, delete on sync.decisions, sync.previews to tandem_teams_sync;
grant select on sync.decisions, sync.previews to tandem_portal, tandem_operator;
