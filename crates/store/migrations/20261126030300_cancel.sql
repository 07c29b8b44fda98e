-- A person stops a job: one that is queued at once, one that runs between two users. `linked_job` of the request is the job.
alter table queue.jobs add column cancel_at timestamptz;
alter table admin.requests drop constraint requests_kind_check;
alter table admin.requests add constraint requests_kind_check
  check (kind in ('sync', 'preview', 'preview_undo', 'run', 'approve', 'reject', 'undo', 'look', 'replay', 'cancel'));
alter table admin.requests drop constraint requests_subject_check;
alter table admin.requests add constraint requests_subject_check check (
  case when kind in ('run', 'approve', 'reject') then subject is not null
       when kind in ('undo', 'preview_undo', 'replay', 'cancel') then linked_job is not null
       else subject is null and linked_job is null end);
