//! What each kind of event does to the record and the steps.

use serde_json::{Value, json};
use tandem_domain::job::{JobScope, JobState, JobType};
use tandem_domain::{JobId, ObjectId, PbxUserId};
use time::macros::datetime;
use uuid::uuid;

use crate::world::{ACCOUNT, World};

#[tokio::test]
async fn a_record_follows_its_events() {
    let mut world = World::start().await.unwrap();
    let keeper = world.keeper();
    let job = world.job().await.unwrap();
    let linked = uuid!("0190a000-0000-7000-8000-0000000000cc");
    let queued = json!({"job_type": "auto", "scope": "changed", "cause": "deferred", "person": null, "linked_job": linked,
        "due_at": "2026-05-20T08:01:00Z", "first_change_at": "2026-05-20T08:00:00.5+00:00", "from_gen": 3,
        "queued_at": "2026-05-20T08:01:01.25Z"});
    world.happen(job, "queued", &queued).await.unwrap();
    keeper.keep(&[job]).await.unwrap();
    let record = world.record(job).await.unwrap().unwrap();
    assert_eq!((record.account, record.state, record.job_type), (ACCOUNT, JobState::Queued, JobType::Auto));
    assert_eq!(
        (record.cause.as_deref(), record.person, record.linked_job),
        (Some("deferred"), None, Some(JobId(linked)))
    );
    assert_eq!(record.due_at, Some(datetime!(2026-05-20 08:01 UTC)));
    assert_eq!(record.first_change_at, Some(datetime!(2026-05-20 08:00:00.5 UTC)));
    assert_eq!(record.queued_at, datetime!(2026-05-20 08:01:01.25 UTC));

    let merged = json!({"job_type": "manual", "scope": "all", "person": "operator", "reason": "new numbers"});
    world.happen(job, "merged", &merged).await.unwrap();
    world
        .happen(job, "started", &json!({"worker": "w", "epoch": 1, "started_at": "2026-05-20T08:02:00Z"}))
        .await
        .unwrap();
    world.happen(job, "taken_over", &json!({"worker": "v", "epoch": 2})).await.unwrap();
    let planned = json!({"epoch": 2, "from_gen": 4, "to_gen": 9, "fingerprint": "abc", "users": 2});
    world.happen(job, "planned", &planned).await.unwrap();
    keeper.keep(&[job]).await.unwrap();
    let record = world.record(job).await.unwrap().unwrap();
    assert_eq!(
        (record.state, record.job_type, record.scope),
        (JobState::Running, JobType::Manual, JobScope::All)
    );
    assert_eq!((record.cause.as_deref(), record.person.as_deref()), (Some("request"), Some("operator")));
    assert_eq!(record.reason.as_deref(), Some("new numbers"));
    assert_eq!(record.started_at, Some(datetime!(2026-05-20 08:02 UTC)));
    assert_eq!(
        (record.from_gen, record.to_gen, record.fingerprint.as_deref()),
        (Some(4), Some(9), Some("abc"))
    );

    let finished = json!({"state": "partly", "counts": {"planned": 2, "confirmed": 1, "deferred": 1},
        "finished_at": "2026-05-20T08:03:00Z"});
    world.happen(job, "finished", &finished).await.unwrap();
    let again = json!({"state": "failed", "error_code": "x", "finished_at": "2026-05-20T09:03:00Z"});
    world.happen(job, "finished", &again).await.unwrap();
    world.happen(job, "started", &json!({})).await.unwrap();
    world.happen(job, "settled", &json!({"settled_at": "2026-05-20T08:05:00Z"})).await.unwrap();
    assert_eq!(keeper.keep(&[job]).await.unwrap().finished, 1);
    let record = world.record(job).await.unwrap().unwrap();
    assert_eq!((record.state, record.error_code), (JobState::Partly, None), "a final record stays as it is");
    assert_eq!(record.finished_at, Some(datetime!(2026-05-20 08:03 UTC)));
    assert_eq!(record.settled_at, Some(datetime!(2026-05-20 08:05 UTC)));
    assert_eq!(record.counts.unwrap()["deferred"], 1);
    assert_eq!(record.event_number, 9);
    assert_eq!(world.counted().await.unwrap(), [("manual".to_owned(), "partly".to_owned(), 1)]);
}

#[tokio::test]
async fn a_failed_job_says_why() {
    let mut world = World::start().await.unwrap();
    let (job, odd) = (world.job().await.unwrap(), world.job().await.unwrap());
    let failed =
        json!({"state": "failed", "error_code": "auth.revoked", "error_text": "the consent is gone"});
    world.happen(job, "finished", &failed).await.unwrap();
    world
        .happen(odd, "finished", &json!({"state": "exploded", "counts": "many", "finished_at": 7}))
        .await
        .unwrap();
    assert_eq!(world.keeper().keep(&[job, odd]).await.unwrap().finished, 2);
    let record = world.record(job).await.unwrap().unwrap();
    assert_eq!((record.state, record.error_code.as_deref()), (JobState::Failed, Some("auth.revoked")));
    assert_eq!(record.finished_at, Some(world.steps(job).await.unwrap()[0].at));
    let record = world.record(odd).await.unwrap().unwrap();
    assert_eq!(
        (record.state, record.counts),
        (JobState::Failed, None),
        "an unknown state is final all the same"
    );
}

#[tokio::test]
async fn a_step_holds_its_columns_and_its_data() {
    let mut world = World::start().await.unwrap();
    let job = world.job().await.unwrap();
    let microsoft_user = uuid!("0190a000-0000-4000-8000-0000000000ff");
    let data = json!({"pbx_user_id": "101", "microsoft_user": microsoft_user, "action": "assign_number", "outcome": "failed",
        "number": "+12125550101", "before": null, "after": {"number": "+12125550101"}, "reason": "refused", "detail": "no\0w",
        "request_id": "r-1", "step": 4});
    world.happen(job, "step", &data).await.unwrap();
    world
        .happen(job, "user", &json!({"pbx_user_id": "101", "code": "licence.pending", "outcome": "deferred"}))
        .await
        .unwrap();
    world.happen(job, "from_tomorrow", &json!({"news": [1, 2]})).await.unwrap();
    world.happen_raw(job, "step", r#"{"detail": "\ud800", "outcome": "sent"}"#).await.unwrap();
    world.happen_raw(job, "step", r#""a text""#).await.unwrap();
    world.happen(job, "user", &json!({"pbx_user_id": 7, "microsoft_user": "nobody"})).await.unwrap();
    assert_eq!(world.keeper().keep(&[job]).await.unwrap().events, 6);
    let steps = world.steps(job).await.unwrap();
    let step = &steps[0];
    assert_eq!(step.pbx_user, Some(PbxUserId::from("101")));
    assert_eq!(step.microsoft_user, Some(ObjectId(microsoft_user)));
    assert_eq!((step.action.as_deref(), step.outcome.as_deref()), (Some("assign_number"), Some("failed")));
    assert_eq!((step.before.as_deref(), step.after.as_deref()), (None, Some(r#"{"number":"+12125550101"}"#)));
    assert_eq!((step.reason.as_deref(), step.detail.as_deref()), (Some("refused"), Some("no\u{fffd}w")));
    assert_eq!((step.request_id.as_deref(), &step.data), (Some("r-1"), &data), "the data stays as it was");
    assert_eq!(steps[1].reason.as_deref(), Some("licence.pending"));
    assert_eq!((steps[2].kind.as_str(), &steps[2].data), ("from_tomorrow", &json!({"news": [1, 2]})));
    assert_eq!((&steps[3].data, &steps[3].outcome), (&Value::Null, &None), "no Unicode, kept unread");
    assert_eq!(steps[4].data, json!("a text"));
    assert_eq!((&steps[5].pbx_user, steps[5].microsoft_user), (&Some(PbxUserId::from("7")), None));
}

#[tokio::test]
async fn idea12_failures_of_a_job_are_named_once_and_explained_without_the_case() {
    let mut world = World::start().await.unwrap();
    let (one, two) = (world.job().await.unwrap(), world.job().await.unwrap());
    for (job, user) in [(one, "101"), (one, "102"), (two, "201")] {
        let detail = format!("Service is unavailable for {user}@customer.example. Please try again");
        let data = json!({"pbx_user_id": user, "outcome": "deferred", "code": "transient", "detail": detail});
        world.happen(job, "user", &data).await.unwrap();
    }
    let waits = json!({"pbx_user_id": "103", "outcome": "deferred", "code": "licence_pending"});
    world.happen(one, "user", &waits).await.unwrap();
    let failed = json!({"state": "failed", "error_code": "tenant_gone", "error_text": "no tenant 'x'"});
    world.happen(one, "finished", &failed).await.unwrap();
    // what comes after the end changes nothing
    let late = json!({"pbx_user_id": "104", "outcome": "failed", "code": "number_taken"});
    world.happen(one, "user", &late).await.unwrap();
    let keeper = world.keeper();
    keeper.keep(&[one, two]).await.unwrap();
    let first = world.record(one).await.unwrap().unwrap().failures;
    let second = world.record(two).await.unwrap().unwrap().failures;
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(second, first[..1], "the same fault of another job");
    assert!(first[1].starts_with("tenant_gone-"));
    let told: Vec<(String, String, String)> =
        sqlx::query_as("select fingerprint, code, text from log.failures order by code desc")
            .fetch_all(&mut world.owner)
            .await
            .unwrap();
    let text = "Service is unavailable for \u{2026}. Please try again".to_owned();
    assert_eq!(told[0], (first[0].clone(), "transient".to_owned(), text));
    assert_eq!(told.len(), 2, "{told:?}");

    let many = world.job().await.unwrap();
    for number in 0..12 {
        let code = format!("code_{}", char::from(b'a' + number));
        let data = json!({"pbx_user_id": "1", "outcome": "failed", "code": code});
        world.happen(many, "user", &data).await.unwrap();
    }
    keeper.keep(&[many]).await.unwrap();
    assert_eq!(world.record(many).await.unwrap().unwrap().failures.len(), 8);
}
