-- A replay: a new job of the same type for a job that did not succeed. `linked_job` is that job, which never changes.
alter table admin.requests drop constraint requests_kind_check;
alter table admin.requests add constraint requests_kind_check
  check (kind in ('sync', 'preview', 'preview_undo', 'run', 'approve', 'reject', 'undo', 'look', 'replay'));
alter table admin.requests drop constraint requests_subject_check;
alter table admin.requests add constraint requests_subject_check check (
  case when kind in ('run', 'approve', 'reject') then subject is not null
       when kind in ('undo', 'preview_undo', 'replay') then linked_job is not null
       else subject is null and linked_job is null end);
