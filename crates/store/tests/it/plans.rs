//! Plans that are kept, and what is asked of them afterwards.

use std::time::Duration;

use anyhow::{Context, Result};
use tandem_domain::plan::{Action, Did, Step, UserPlan, Verdict};
use tandem_domain::policy::PolicyType;
use tandem_domain::{AccountId, JobId, ObjectId, PbxUserId};
use tandem_store::users::{self, PlannedRun};
use tandem_store::{Login, Tx, intents, retention, undo};
use uuid::Uuid;

use crate::database;

const ACCOUNT: AccountId = AccountId(Uuid::from_u128(0xacc0));
const JOB: JobId = JobId(Uuid::from_u128(0x0b));
/// More than one statement holds.
const STEPS: u32 = 1_200;

fn user(n: u32) -> PbxUserId {
    PbxUserId(format!("{n}"))
}

fn oid(n: u32) -> ObjectId {
    ObjectId(Uuid::from_u128(u128::from(n)))
}

/// A user that had a policy of its own before.
fn step(no: u32) -> Step {
    Step {
        no,
        user: user(no),
        oid: oid(no),
        action: Action::AssignPolicy {
            policy_type: PolicyType::from("TeamsCallingPolicy"),
            name: "New".to_owned(),
            policy_id: "new".to_owned(),
        },
        before: Some(format!("Before {no}")),
        before_own: true,
        after: Some("New".to_owned()),
        reason: "test".into(),
        depends_on: vec![],
        group: None,
    }
}

/// A job that made the step 1100 of its plan.
const ONE_WRITE: &str = "insert into admin.accounts (account_id, name, label) values ('00000000-0000-0000-0000-00000000acc0', 'alpha', 'Alpha');
         insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at, epoch, started_at, lease_until, worker)
         values ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000acc0', 'manual', 'all', 'running', 'test',
                 now(), 1, now(), now() + interval '1 minute', 'test');
         insert into sync.intents (intent_id, account_id, job_id, epoch, step, pbx_user_id, microsoft_user, action, policy_type, policy_name,
                                   state, client_request_id, ended_at)
         select gen_random_uuid(), account_id, job_id, 1, 1100, '1100', lpad(to_hex(1100), 32, '0')::uuid, 'assign_policy',
                'TeamsCallingPolicy', 'New', 'done', gen_random_uuid(), now() from queue.jobs";

/// What the job did, as an undo sees it.
async fn did(tx: &mut Tx) -> Result<Vec<Did>> {
    let record = undo::record(tx, ACCOUNT, JOB).await?.context("a job that can be undone")?;
    Ok(record.writes.into_iter().map(|write| write.did).collect())
}

fn expected() -> [Did; 1] {
    let calling = PolicyType::from("TeamsCallingPolicy");
    [Did::Policy(calling, Some("Before 1100".to_owned()), Some("New".to_owned()))]
}

#[tokio::test]
async fn an_undo_finds_the_step_of_each_write_and_old_steps_go_with_their_runs() {
    let (pg, mut owner) = database::seeded(ONE_WRITE).await.unwrap();
    let store = database::store(&pg, Login::TeamsSync);
    let steps: Vec<Step> = (1..=STEPS).map(step).collect();
    let plan = |n: u32| UserPlan { user: user(n), oid: oid(n), verdict: Verdict::Steps, warning: None };
    let run = PlannedRun {
        account: ACCOUNT,
        job: JOB,
        epoch: 1,
        from: 0,
        to: 1,
        fingerprint: "test",
        steps: &steps,
        users: &(1..=STEPS).map(plan).collect::<Vec<_>>(),
    };
    let mut tx = store.begin("test.planned").await.unwrap();
    users::planned(&mut tx, &run).await.unwrap();
    assert_eq!(did(&mut tx).await.unwrap(), expected());
    tx.commit().await.unwrap();

    let count = "select (select count(*) from sync.steps) + (select count(*) from sync.users)";
    let kept: i64 = sqlx::query_scalar(count).fetch_one(&mut owner).await.unwrap();
    assert_eq!(kept, 2 * i64::from(STEPS));

    sqlx::raw_sql("update sync.runs set planned_at = now() - interval '91 days'")
        .execute(&mut owner)
        .await
        .unwrap();
    retention::prune(&store, 90).await.unwrap();
    let left: i64 =
        sqlx::query_scalar("select count(*) from sync.steps").fetch_one(&mut owner).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn an_undo_finds_the_steps_of_a_plan_that_the_release_before_kept_as_one_document() {
    let (pg, mut owner) = database::seeded(ONE_WRITE).await.unwrap();
    let insert = "insert into sync.runs (job_id, epoch, account_id, from_gen, to_gen, fingerprint, plan)
                  values ($1, 1, $2, 0, 1, 'test', $3)";
    let plan = serde_json::json!({ "steps": (1..=STEPS).map(step).collect::<Vec<_>>() });
    sqlx::query(insert).bind(JOB.0).bind(ACCOUNT.0).bind(plan).execute(&mut owner).await.unwrap();
    let mut tx = database::store(&pg, Login::TeamsSync).begin("test.undo").await.unwrap();
    assert_eq!(did(&mut tx).await.unwrap(), expected());
}

#[tokio::test]
async fn a_gap_lasts_from_the_last_number_that_came_off_to_the_one_that_came_on() {
    // user, action, second at which it was sent, at which it ended
    let (pg, _) = database::seeded(
        "insert into admin.accounts (account_id, name, label) values ('00000000-0000-0000-0000-00000000acc0', 'alpha', 'Alpha');
         insert into sync.intents (intent_id, account_id, job_id, epoch, step, pbx_user_id, microsoft_user, action, number,
                                   state, client_request_id, created_at, ended_at)
         select gen_random_uuid(), '00000000-0000-0000-0000-00000000acc0', '00000000-0000-0000-0000-00000000000b', 1, 1, u::text,
                lpad(u::text, 32, '0')::uuid, action, '+1212555010' || u, 'done', gen_random_uuid(),
                now() + sent * interval '1 s', now() + ended * interval '1 s'
           from (values (1, 'unassign_number', 0, 2), (1, 'assign_number', 3, 9), (2, 'assign_number', 0, 4),
                        (3, 'assign_number', 0, 1), (3, 'unassign_number', 2, 3)) as i (u, action, sent, ended)",
    )
    .await
    .unwrap();
    let mut tx = database::store(&pg, Login::TeamsSync).begin("test.gaps").await.unwrap();
    let gaps = intents::gaps(&mut tx, JOB).await.unwrap();
    assert_eq!(gaps.into_iter().collect::<Vec<_>>(), [((user(1), oid(1)), Duration::from_secs(7))]);
}
