//! Events end up in the log once, whatever order and however often they are announced.

use anyhow::Result;
use serde_json::json;
use tandem_domain::JobId;
use tandem_domain::job::JobState;
use tandem_store::{Login, log};
use tandem_sync_log::Kept;
use uuid::uuid;

use crate::world::World;

/// A job from cut to settling.
const STORY: &[(&str, &str)] = &[
    ("queued", r#"{"job_type": "auto", "scope": "changed", "cause": "window"}"#),
    ("merged", r#"{"job_type": "manual", "scope": "all", "person": "p", "reason": "now"}"#),
    ("started", r#"{"worker": "w1", "epoch": 1}"#),
    ("planned", r#"{"from_gen": 3, "to_gen": 9, "fingerprint": "f", "users": 1, "steps": 1}"#),
    ("step", r#"{"pbx_user_id": "101", "action": "assign_number", "outcome": "sent"}"#),
    ("step", r#"{"pbx_user_id": "101", "action": "assign_number", "outcome": "confirmed"}"#),
    ("user", r#"{"pbx_user_id": "101", "outcome": "confirmed"}"#),
    ("finished", r#"{"state": "succeeded", "counts": {"planned": 1, "confirmed": 1}}"#),
    ("settling", r#"{"pbx_user_id": "101", "look": 1, "agrees": true}"#),
    ("settled", r#"{}"#),
];

/// A small generator, so that a failing order can be seen again.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for i in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, (seed >> 33) as usize % (i + 1));
    }
}

async fn tell(world: &mut World, job: JobId, part: &[(&str, &str)]) -> Result<()> {
    for (kind, data) in part {
        world.happen_raw(job, kind, data).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_replay_changes_nothing() {
    let mut world = World::start().await.unwrap();
    let keeper = world.keeper();
    let mut jobs = Vec::new();
    for _ in 0..6 {
        jobs.push(world.job().await.unwrap());
    }
    for part in STORY.chunks(3) {
        for job in &jobs {
            tell(&mut world, *job, part).await.unwrap();
        }
        shuffle(&mut jobs, part.len() as u64);
        keeper.keep(&jobs[..4]).await.unwrap();
    }
    let last = keeper.keep(&jobs).await.unwrap();
    assert!(last.events > 0, "the last two jobs of the shuffle");
    for job in &jobs {
        assert_eq!(world.numbers(*job).await.unwrap(), (1..=10).collect::<Vec<_>>());
    }
    let counted = vec![("manual".to_owned(), "succeeded".to_owned(), 6)];
    assert_eq!(world.counted().await.unwrap(), counted);
    let before = world.snapshot().await.unwrap();
    for seed in 0..3 {
        // the whole stream again, every announcement three times in another order
        let mut announced: Vec<JobId> = jobs.iter().flat_map(|job| [*job; 3 * 10]).collect();
        shuffle(&mut announced, seed);
        for batch in announced.chunks(25) {
            assert_eq!(world.keeper().keep(batch).await.unwrap(), Kept::default());
        }
        keeper.sweep().await.unwrap();
    }
    assert_eq!(world.snapshot().await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_keepers_at_once_keep_each_event_once() {
    let mut world = World::start().await.unwrap();
    let mut jobs = Vec::new();
    for _ in 0..10 {
        let job = world.job().await.unwrap();
        tell(&mut world, job, STORY).await.unwrap();
        jobs.push(job);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..12 {
        let keeper = world.keeper();
        let mut announced = jobs.clone();
        shuffle(&mut announced, seed);
        tasks.spawn(async move {
            if seed % 4 == 0 {
                keeper.sweep().await.map(|()| 0)
            } else {
                keeper.keep(&announced).await.map(|k| k.events)
            }
        });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    assert_eq!(world.counted().await.unwrap(), [("manual".to_owned(), "succeeded".to_owned(), 10)]);
    for job in jobs {
        assert_eq!(world.numbers(job).await.unwrap(), (1..=10).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_missing_event_is_waited_for() {
    let mut world = World::start().await.unwrap();
    let keeper = world.keeper();
    let (job, other) = (world.job().await.unwrap(), world.job().await.unwrap());
    tell(&mut world, job, &STORY[..3]).await.unwrap();
    let away: (i64, String) = sqlx::query_as(
        "delete from queue.events where job_id = $1 and number = 2 returning number, data::text",
    )
    .bind(job.0)
    .fetch_one(&mut world.owner)
    .await
    .unwrap();
    tell(&mut world, other, &STORY[..1]).await.unwrap();
    // the third is announced before the second is there
    assert_eq!(keeper.keep(&[job, other]).await.unwrap().events, 2, "a gap holds up its own job only");
    assert_eq!(world.numbers(job).await.unwrap(), [1]);
    assert_eq!(world.record(job).await.unwrap().unwrap().state, JobState::Queued);
    keeper.sweep().await.unwrap();
    assert_eq!(world.numbers(job).await.unwrap(), [1]);
    sqlx::query(
        "insert into queue.events (account_id, job_id, number, kind, data)
         select account_id, job_id, $2, 'merged', $3::json from queue.jobs where job_id = $1",
    )
    .bind(job.0)
    .bind(away.0)
    .bind(away.1)
    .execute(&mut world.owner)
    .await
    .unwrap();
    assert_eq!(keeper.keep(&[job]).await.unwrap().events, 2);
    assert_eq!(world.numbers(job).await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn what_was_not_announced_is_swept() {
    let mut world = World::start().await.unwrap();
    let keeper = world.keeper();
    let job = world.job().await.unwrap();
    tell(&mut world, job, STORY).await.unwrap();
    keeper.sweep().await.unwrap();
    assert_eq!(world.numbers(job).await.unwrap().len(), STORY.len());
    let before = world.snapshot().await.unwrap();
    keeper.sweep().await.unwrap();
    assert_eq!(world.snapshot().await.unwrap(), before);
}

#[tokio::test]
async fn a_job_with_many_events_is_kept_in_parts() {
    let mut world = World::start().await.unwrap();
    let job = world.job().await.unwrap();
    sqlx::query(
        "insert into queue.events (account_id, job_id, number, kind, data)
         select account_id, job_id, n, 'user', json_build_object('pbx_user_id', n::text)
           from queue.jobs, generate_series(1, 4100) n where job_id = $1",
    )
    .bind(job.0)
    .execute(&mut world.owner)
    .await
    .unwrap();
    assert_eq!(world.keeper().keep(&[job]).await.unwrap().events, 4100);
    assert_eq!(world.record(job).await.unwrap().unwrap().event_number, 4100);
}

#[tokio::test]
async fn kept_events_are_pruned_when_they_are_old() {
    let mut world = World::start().await.unwrap();
    let (kept, unkept) = (world.job().await.unwrap(), world.job().await.unwrap());
    tell(&mut world, kept, &STORY[..3]).await.unwrap();
    tell(&mut world, unkept, &STORY[..3]).await.unwrap();
    world.keeper().keep(&[kept]).await.unwrap();
    tell(&mut world, kept, &STORY[3..4]).await.unwrap();
    let store = world.store(Login::SyncLog);
    assert_eq!(log::prune(&store, 3600.0, 100).await.unwrap(), 0, "all are young");
    sqlx::query("update queue.events set at = at - interval '2 hours' where number <> 3")
        .execute(&mut world.owner)
        .await
        .unwrap();
    assert_eq!(log::prune(&store, 3600.0, 1).await.unwrap(), 1);
    assert_eq!(log::prune(&store, 3600.0, 100).await.unwrap(), 1);
    let mut left: Vec<_> =
        [3, 4].map(|n| (kept.0, n)).into_iter().chain([1, 2, 3].map(|n| (unkept.0, n))).collect();
    left.sort_unstable();
    assert_eq!(
        world.queued_events().await.unwrap(),
        left,
        "neither young events nor events that are not in the log"
    );
    world.keeper().sweep().await.unwrap();
    assert_eq!(world.numbers(kept).await.unwrap(), [1, 2, 3, 4]);
    assert_eq!(world.numbers(unkept).await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn a_job_of_another_time_gets_its_month() {
    let mut world = World::start().await.unwrap();
    let job = JobId(uuid!("01c6a5bb-3c00-7000-8000-000000000001"));
    let no_time = JobId(uuid!("0190a000-0000-4000-8000-000000000001"));
    for job in [job, no_time] {
        world.job_with_id(job).await.unwrap();
        tell(&mut world, job, &STORY[..1]).await.unwrap();
    }
    assert_eq!(
        world.keeper().keep(&[no_time, job]).await.unwrap().events,
        1,
        "an id without a time has no month"
    );
    assert_eq!(world.numbers(job).await.unwrap(), [1]);
    let nowhere = JobId(world.ctx.ids.v7(&world.ctx.clock));
    assert_eq!(world.keeper().keep(&[nowhere]).await.unwrap(), Kept::default(), "unknown jobs are left out");
    assert_eq!(world.record(nowhere).await.unwrap(), None);
    world.happen(job, "started", &json!({})).await.unwrap();
    // the month is dropped beside a keeper that knows it: the next look makes it anew
    let keeper = world.keeper();
    keeper.keep(&[job]).await.unwrap();
    let drop = "drop table log.jobs_2031_11, log.steps_2031_11";
    sqlx::raw_sql(drop).execute(&mut world.owner).await.unwrap();
    keeper.keep(&[job]).await.unwrap_err();
    assert_eq!(keeper.keep(&[job]).await.unwrap().events, 2);
}
