//! What waits in the queue while an account, or the fleet, is paused.

use std::time::Duration;

use sqlx::PgConnection;
use tandem_domain::job::JobType;
use tandem_store::{Login, Store, claims};

use crate::database;

async fn run(owner: &mut PgConnection, statement: &'static str) {
    sqlx::query(statement).execute(owner).await.expect("the statement");
}

async fn claimed(store: &Store, job_type: JobType) -> usize {
    claims::claim(store, "worker", job_type, 9, Duration::from_secs(60)).await.expect("claims").len()
}

#[tokio::test]
async fn idea18_a_persons_job_that_was_queued_before_a_pause_waits_for_its_end() {
    let pg = database::migrated().await.unwrap();
    let mut owner = database::owner(&pg).await.unwrap();
    let store = database::store(&pg, Login::TeamsSync);
    for statement in [
        "insert into admin.accounts (account_id, name, label, auto_sync, licences, paused_until, pause_reason)
         values (gen_random_uuid(), 'a', 'A', true, 1, now() + interval '1 h', 'the site moves')",
        "insert into vault.authorizations (account_id, tenant_id, client_id, state, bound_by)
         select account_id, gen_random_uuid(), 'c', 'healthy', 't' from admin.accounts",
        "insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at)
         select gen_random_uuid(), account_id, 'manual', 'changed', 'queued', 'request', now() from admin.accounts",
    ] {
        run(&mut owner, statement).await;
    }
    assert_eq!(claimed(&store, JobType::Manual).await, 0, "the account is paused");
    run(&mut owner, "update admin.accounts set paused_until = now()").await;
    run(
        &mut owner,
        "insert into admin.fleet_pause (until, person, reason, since) values (now() + interval '1 h', 'olga', 'outage', now())",
    )
    .await;
    assert_eq!(claimed(&store, JobType::Manual).await, 0, "the fleet is paused");
    // an Auto job is claimed, and teams-sync hands its changes back
    run(&mut owner, "update queue.jobs set job_type = 'auto'").await;
    assert_eq!(claimed(&store, JobType::Auto).await, 1);
    run(
        &mut owner,
        "update queue.jobs set job_type = 'manual', state = 'queued', started_at = null, lease_until = null",
    )
    .await;
    run(&mut owner, "delete from admin.fleet_pause").await;
    assert_eq!(claimed(&store, JobType::Manual).await, 1, "nothing is paused any more");
}
