"""An incident to clear up: failed jobs on record, as sync-log would have written them."""

import datetime
import re
import uuid

import pg8000.native


def record(demo, jobs, code, text):
    """So many failed Auto jobs of the last hour, spread over alpha and bravo."""
    password = next(demo.data.rglob("tandem_sync_log*")).read_text().strip()
    port = re.search(r"PostgreSQL on 127\.0\.0\.1:(\d+)", "\n".join(demo.lines)).group(1)
    connection = pg8000.native.Connection("tandem_sync_log", password=password, port=int(port), database="tandem")
    try:
        accounts = connection.run("select account_id from admin.accounts where name in ('alpha', 'bravo') order by name")
        for number in range(jobs):
            at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=number)
            milliseconds = int(at.timestamp() * 1000)
            job = uuid.UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | number)
            connection.run(
                """insert into log.jobs (job_id, account_id, job_type, scope, state, cause, queued_at, started_at, finished_at,
                                         error_code, error_text, event_number)
                   values (:job, :account, 'auto', 'changed', 'failed', 'window', :at, :at, :at, :code, :text, 1)""",
                job=str(job), account=str(accounts[number % len(accounts)][0]), at=at, code=code, text=text,
            )
    finally:
        connection.close()
