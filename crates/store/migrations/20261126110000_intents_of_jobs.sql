-- The end of a job asks for its writes, and so does an undo; the table holds those of all accounts.
create index intents_of_job on sync.intents (job_id);
