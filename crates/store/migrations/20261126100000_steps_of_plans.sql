-- The steps of a plan, a row each: a plan may have a hundred thousand, and an undo asks for the steps of its writes by
-- their places. What a plan says about users is told by the events of its job, and removals that wait stand in sync.held.
create table sync.steps (
  job_id     uuid not null,
  epoch      integer not null,
  no         integer not null,
  account_id uuid not null,
  step       json not null,
  primary key (job_id, epoch, no),
  foreign key (job_id, epoch) references sync.runs on delete cascade
);
select ops.protect('sync.steps', array['tandem_teams_sync', 'tandem_operator']);
grant select, insert on sync.steps to tandem_teams_sync;
grant select on sync.steps to tandem_operator;

-- Plans of the release before stay documents, also those that it makes while this one is rolled out, until they are
-- too old to be kept.
alter table sync.runs alter column plan drop not null;
