-- Bulk acts go with the jobs they replayed; what was replayed, by whom and why stays in the log and in the audit chains.
grant select (bulk_id, finished_at), delete on admin.bulk_acts to tandem_teams_sync;
