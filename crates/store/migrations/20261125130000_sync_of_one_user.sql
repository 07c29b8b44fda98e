-- A sync that somebody asks for because of one user: the job that carries the request out looks at that user, changed or not.
alter table admin.requests add column pbx_user_id text;
alter table admin.requests add constraint requests_user_check check (pbx_user_id is null or (kind = 'sync' and scope = 'changed'));
create index requests_of_job on admin.requests (job_id) where pbx_user_id is not null;
