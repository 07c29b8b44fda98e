-- Every role compares the schema with what it was built for before it starts.
grant select on public._sqlx_migrations to
  tandem_detector, tandem_debouncer, tandem_teams_sync, tandem_sync_log, tandem_portal, tandem_operator;
