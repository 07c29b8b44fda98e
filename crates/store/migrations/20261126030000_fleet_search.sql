-- Operators look for syncs over all accounts, also by a number that a step wrote and by Microsoft's id of a request.
select ops.admit('log.steps', 'tandem_portal_fleet');
create index steps_of_request on log.steps (request_id, job_id desc) where request_id is not null;
create index steps_of_number_before on log.steps (split_part(before, ';', 1), job_id desc) where before like '+%';
create index steps_of_number_after on log.steps (split_part(after, ';', 1), job_id desc) where after like '+%';
create index jobs_of_failure on log.jobs using gin (failures) where failures is not null;
