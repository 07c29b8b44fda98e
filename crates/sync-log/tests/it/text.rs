//! The log as text.

use serde_json::{Value, json};
use tandem_domain::job::{JobScope, JobState, JobType};
use tandem_domain::{JobId, PbxUserId};
use tandem_store::log_read::{JobRow, StepRow};
use tandem_store::log_text as text;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use crate::world::ACCOUNT;

const BEGIN: OffsetDateTime = datetime!(2026-05-20 08:00 UTC);

fn job() -> JobRow {
    JobRow {
        job: JobId(Uuid::nil()),
        account: ACCOUNT,
        job_type: JobType::Auto,
        scope: JobScope::Changed,
        state: JobState::Succeeded,
        cause: None,
        person: None,
        reason: None,
        linked_job: None,
        queued_at: BEGIN - time::Duration::seconds(20),
        due_at: None,
        first_change_at: None,
        started_at: Some(BEGIN),
        finished_at: None,
        settled_at: None,
        from_gen: None,
        to_gen: None,
        counts: None,
        error_code: None,
        error_text: None,
        fingerprint: None,
        failures: Vec::new(),
        event_number: 1,
    }
}

/// A step as the log would have it.
fn step(seconds: i64, kind: &str, data: Value) -> StepRow {
    let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
    StepRow {
        job: JobId(Uuid::nil()),
        number: 1,
        at: BEGIN + time::Duration::seconds(seconds),
        kind: kind.to_owned(),
        pbx_user: text("pbx_user_id").map(PbxUserId),
        microsoft_user: None,
        action: text("action"),
        outcome: text("outcome"),
        before: text("before"),
        after: text("after"),
        reason: text("reason").or(text("code")),
        detail: text("detail"),
        request_id: text("request_id"),
        data,
    }
}

#[test]
fn a_line_per_step() {
    let steps = [
        step(
            -20,
            "queued",
            json!({"job_type": "auto", "scope": "changed", "cause": "window", "person": null}),
        ),
        step(-3, "merged", json!({"person": "operator", "reason": "now"})),
        step(0, "started", json!({"worker": "w1", "epoch": 1})),
        step(1, "read", json!({"what": "users", "pages": 2, "users": 1500})),
        step(
            2,
            "planned",
            json!({"from_gen": 4, "to_gen": 9, "users": 2, "steps": 2, "conflicts": [], "held": 0}),
        ),
        step(
            3,
            "step",
            json!({"pbx_user_id": "101", "action": "assign_number", "number": "+12125550101",
            "outcome": "confirmed", "after": "+12125550101"}),
        ),
        step(
            4,
            "step",
            json!({"pbx_user_id": "102", "action": "assign_policy", "policy_type": "TeamsCallingPolicy",
            "policy_name": "Tandem", "outcome": "failed", "detail": "refused\n<00:00> JOB> forged", "request_id": "r-1"}),
        ),
        step(
            5,
            "user",
            json!({"pbx_user_id": "102", "outcome": "deferred", "code": "throttled",
            "next_look": "2026-05-20T08:10:00Z"}),
        ),
        step(
            6,
            "user",
            json!({"pbx_user_id": "103", "outcome": "confirmed", "gap_s": 1.5, "warning_code": "licence_ending",
            "warning": "the licence is about to end"}),
        ),
        step(
            7,
            "alert",
            json!({"pbx_user_id": "104", "code": "left_without_number", "before": "+12125550104", "detail": "refused"}),
        ),
        step(8, "plan_changed", json!({"gone": ["101: unassign_number +12125550101"], "new": []})),
        step(
            9,
            "held_decided",
            json!({"held_id": "h", "outcome": "rejected", "person": "Pat", "reason": "no"}),
        ),
        step(61, "handed_over", json!({})),
        step(62, "taken_over", json!({"worker": "w2", "epoch": 2})),
        step(
            63,
            "finished",
            json!({"state": "partly", "counts": {"planned": 2, "confirmed": 1, "deferred": 1}}),
        ),
        step(
            64,
            "finished",
            json!({"state": "failed", "error_code": "auth.revoked", "error_text": "consent is gone"}),
        ),
        step(125, "settling", json!({"pbx_user_id": "101", "look": 1, "agrees": false})),
        step(7262, "settled", json!({})),
        step(7263, "from_tomorrow", json!({"a": 1})),
    ];
    let expected = "\
<00:00> JOB> Queued: job_type=auto, scope=changed, cause=window
<00:00> JOB> A request joined: person=operator, reason=now
<00:00> JOB> Started: worker=w1, epoch=1
<00:01> GRAPH> Read users: pages=2, users=1500
<00:02> PLAN> Planned changes 4 to 9: users=2, steps=2, conflicts=0, held=0
<00:03> GRAPH> 101: assign_number +12125550101 confirmed (nothing -> +12125550101)
<00:04> ERROR> 102: assign_policy TeamsCallingPolicy=Tandem failed, refused <00:00> JOB> forged [request r-1]
<00:05> USER> 102: deferred, throttled, next look 2026-05-20T08:10:00Z
<00:06> USER> 103: confirmed, beware: the licence is about to end, without dial tone for 1.5 s
<00:07> ERROR> 104: left_without_number, it had +12125550104, refused
<00:08> PLAN> Something has changed since the plan was seen; no longer: 101: unassign_number +12125550101; new: nothing
<00:09> JOB> Held removals decided: outcome=rejected, person=Pat, reason=no, held_id=h
<01:01> JOB> Handed over to the next job
<01:02> JOB> Taken over: worker=w2, epoch=2
<01:03> JOB> Finished: partly, planned=2, confirmed=1, deferred=1
<01:04> ERROR> Finished: failed, auth.revoked, consent is gone
<02:05> SETTLE> 101: look=1, agrees=false
<121:02> SETTLE> Settled: every read path agrees
<121:03> JOB> from_tomorrow {\"a\":1}
";
    assert_eq!(text::render(&job(), &steps), expected);
}

#[test]
fn p4_users_are_counted_on_a_line_and_a_cut_list_says_so() {
    let counts = json!({"total": 15, "licensed": 13, "phoneSystem": 12, "excludedByCallingPlan": 1, "resource": 2,
        "eligible": 11, "warning": 1});
    let whole =
        json!({"complete": true, "pages": 3, "users": 17, "gone": 1, "counts": counts, "cut_at": null});
    assert_eq!(
        text::line(&job(), &step(0, "discovered", whole)),
        "<00:00> GRAPH> Enabled users: total=15, licensed=13, phoneSystem=12, excludedByCallingPlan=1, resource=2, \
         eligible=11, warning=1, gone=1"
    );
    let cut = json!({"complete": false, "gone": 0, "counts": {"total": 3}, "cut_at": "page 2 of the directory",
        "detail": "users: 503\nService Unavailable"});
    assert_eq!(
        text::line(&job(), &step(61, "discovered", cut)),
        "<01:01> GRAPH> Enabled users, list cut at page 2 of the directory (users: 503 Service Unavailable): total=3, gone=0"
    );
}
