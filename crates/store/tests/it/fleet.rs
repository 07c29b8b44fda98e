//! The fleet: states of all accounts, who waits longest, how late jobs were, what fails in many accounts.

use std::collections::BTreeMap;

use anyhow::Result;
use sqlx::{AssertSqlSafe, PgConnection};
use tandem_domain::AccountId;
use tandem_domain::account_state::{AccountState, state};
use tandem_store::portal::{fleet, overview, people};
use tandem_store::{Login, Store, log};
use tandem_testkit::Pg;
use time::{Duration, OffsetDateTime};

use crate::database;

/// What is true of an account in each state, as statements about the account `{a}`.
const STATES: [(AccountState, &[&str]); 9] = [
    (AccountState::InSync, &[]),
    (AccountState::ChangesQueued, &["insert into queue.windows (account_id, first_change_at, last_change_at) values ({a}, now(), now())", CHANGE]),
    (AccountState::Syncing, &[CHANGE, "insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at, first_change_at)
        values (gen_random_uuid(), {a}, 'auto', 'changed', 'queued', 'window', now(), now())"]),
    (AccountState::Landing, &["insert into sync.users (account_id, pbx_user_id, microsoft_user, confirmed_gen) values ({a}, '101', gen_random_uuid(), 1)"]),
    (AccountState::SyncIssue, &["insert into sync.users (account_id, pbx_user_id, microsoft_user, outcome) values ({a}, '101', gen_random_uuid(), 'conflict')"]),
    (AccountState::SyncFailed, &["insert into log.jobs (job_id, account_id, job_type, scope, state, queued_at, finished_at, event_number, error_code)
        values (log.uuid_at(now() - interval '1 min'), {a}, 'auto', 'changed', 'failed', now(), now(), 1, 'tenant_gone')"]),
    (AccountState::Held, &["insert into sync.held (held_id, account_id, job_id, fingerprint, removals) values (gen_random_uuid(), {a}, gen_random_uuid(), 'f', '[]')"]),
    (AccountState::NotAuthorized, &["update vault.authorizations set state = 'revoked' where account_id = {a}"]),
    (AccountState::SetupPartial, &["delete from pbx.bindings where account_id = {a}"]),
];
const CHANGE: &str = "insert into change.log (account_id, gen, kind, fields, source, detected_at) values ({a}, 1, 'settings', '{}', 'portal', now())";

async fn prepared() -> Result<(Pg, PgConnection, Store)> {
    let pg = database::migrated().await?;
    log::make_months(&database::store(&pg, Login::SyncLog)).await?;
    let owner = database::owner(&pg).await?;
    let fleet = database::store(&pg, Login::PortalFleet);
    Ok((pg, owner, fleet))
}

async fn now(owner: &mut PgConnection) -> Result<OffsetDateTime> {
    Ok(sqlx::query_scalar("select now()").fetch_one(owner).await?)
}

/// `many` accounts named by their number, in sync with one mapping each and Auto Sync on.
async fn accounts(owner: &mut PgConnection, many: i32) -> Result<()> {
    for statement in [
        "insert into admin.accounts (account_id, name, label, auto_sync, licences)
         select ('0190a000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'a' || lpad(n::text, 6, '0'), 'Account ' || n, true, 9
           from generate_series(1, $1) n",
        "insert into pbx.bindings (source, account_key, account_id) select 'pbx', name, account_id from admin.accounts where $1 > 0",
        "insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service)
         select account_id, '101', gen_random_uuid(), 'voice' from admin.accounts where $1 > 0",
        "insert into vault.authorizations (account_id, tenant_id, client_id, state, bound_by)
         select account_id, gen_random_uuid(), 'c', 'healthy', 't' from admin.accounts where $1 > 0",
    ] {
        sqlx::query(statement).bind(many).execute(&mut *owner).await?;
    }
    Ok(())
}

#[tokio::test]
async fn idea3_the_fleet_sees_each_account_in_the_state_that_its_own_page_shows() {
    let (_pg, mut owner, store) = prepared().await.unwrap();
    accounts(&mut owner, 9).await.unwrap();
    let mut tx = store.begin("test.all").await.unwrap();
    let all: Vec<AccountId> =
        people::all(&mut tx, "", 100).await.unwrap().into_iter().map(|account| account.account).collect();
    for (account, (_, statements)) in all.iter().zip(STATES) {
        for statement in statements {
            let statement = statement.replace("{a}", &format!("'{account}'"));
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut owner).await.unwrap();
        }
    }
    let own: BTreeMap<AccountId, AccountState> =
        overview::stand(&mut tx, &all, now(&mut owner).await.unwrap())
            .await
            .unwrap()
            .iter()
            .map(|row| (row.account, state(&row.facts)))
            .collect();
    let counts = fleet::counts(&mut tx).await.unwrap();
    for (account, (expected, _)) in all.iter().zip(STATES) {
        assert_eq!(own[account], expected);
        assert_eq!(fleet::in_state(&mut tx, expected, "", 10).await.unwrap(), [*account], "{expected}");
        let count = counts.iter().find(|(state, _)| *state == expected).unwrap().1;
        assert_eq!(count.accounts, 1, "{expected}");
        let waits = matches!(expected, AccountState::ChangesQueued | AccountState::Syncing);
        assert_eq!((count.oldest.is_some(), count.oldest_auto.is_some()), (waits, waits), "{expected}");
    }
    let behind = fleet::in_state(&mut tx, AccountState::InSync, "a000001", 10).await.unwrap();
    assert!(behind.is_empty(), "paged by name");
}

#[tokio::test]
async fn idea3_who_waits_longest_comes_first_page_by_page() {
    let (_pg, mut owner, store) = prepared().await.unwrap();
    accounts(&mut owner, 5).await.unwrap();
    // the third waits longest, in the queue already; the fourth is paused; the fifth is manual
    for statement in [
        "insert into queue.windows (account_id, first_change_at, last_change_at, due_at)
         select account_id, now() - interval '1 min' * right(name, 1)::int, now(), now() from admin.accounts where name <> 'a000003'",
        "insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at, first_change_at, parked)
         select gen_random_uuid(), account_id, 'auto', 'changed', 'queued', 'window', now(), now() - interval '1 h', 'quarantine'
           from admin.accounts where name = 'a000003'",
        "update admin.accounts set paused_until = now() + interval '1 h', pause_reason = 'r' where name = 'a000004'",
        "update admin.accounts set auto_sync = false where name = 'a000005'",
        "insert into change.log (account_id, gen, pbx_user_id, kind, fields, source, detected_at)
         select account_id, n, case when n > 5 then '102' else '101' end, 'updated', '{}', 'pbx', now()
           from admin.accounts, generate_series(1, 9) n where name = 'a000004'",
        "insert into sync.accounts (account_id, covered_gen) select account_id, 2 from admin.accounts where name = 'a000004'",
    ] {
        sqlx::query(statement).execute(&mut owner).await.unwrap();
    }
    let mut tx = store.begin("test.waiting").await.unwrap();
    let first = fleet::waiting(&mut tx, None, 2).await.unwrap();
    let names = |rows: &[fleet::Waiting]| rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["a000003", "a000004"]);
    assert_eq!((first[0].parked.as_deref(), first[0].due_at), (Some("quarantine"), None));
    assert!(first[1].paused_until.is_some());
    assert_eq!((first[0].changes, first[1].changes), (0, 3), "what is nobody's of Teams does not count");
    let next = fleet::waiting(&mut tx, Some((first[1].since, &first[1].name)), 9).await.unwrap();
    assert_eq!(names(&next), ["a000002", "a000001"]);
    assert!(next.iter().all(|row| row.due_at.is_some() && row.paused_until.is_none()));
}

#[tokio::test]
async fn idea3_lateness_is_that_of_auto_jobs_that_nobody_held_up() {
    let (_pg, mut owner, store) = prepared().await.unwrap();
    accounts(&mut owner, 2).await.unwrap();
    // twenty jobs that started after 1 to 20 s and settled after twice as long, and others that do not count
    sqlx::query(
        "insert into log.jobs (job_id, account_id, job_type, scope, state, queued_at, first_change_at, started_at, settled_at, excused, event_number)
         select log.uuid_at(now() - n * interval '1 s'), account_id, case when n = 21 then 'manual' else 'auto' end, 'changed', 'succeeded', now(),
                now(), now() + n * interval '1 s', case when n <> 20 then now() + 2 * n * interval '1 s' end, n = 22, 1
           from generate_series(1, 22) n, admin.accounts where name = 'a000001'",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let mut tx = store.begin("test.lateness").await.unwrap();
    let since = now(&mut owner).await.unwrap() - Duration::hours(1);
    let found = fleet::lateness(&mut tx, since).await.unwrap();
    let of = |state| found.iter().find(|(of, _)| *of == state).map(|(_, late)| *late);
    let all = of(None).unwrap();
    assert_eq!((all.started, all.settled), (20, 19));
    assert_eq!((all.start_p50, all.start_p95), (Some(10.0), Some(19.0)));
    assert_eq!((all.settled_p50, all.settled_p95), (Some(20.0), Some(38.0)));
    assert_eq!(of(Some(AccountState::InSync)), Some(all), "the account is in sync now");
    assert_eq!(of(Some(AccountState::Held)), None);
    let later = fleet::lateness(&mut tx, since + Duration::hours(2)).await.unwrap();
    assert!(later.iter().all(|(_, late)| late.started == 0), "{later:?}");
}

#[tokio::test]
async fn idea12_the_same_fault_of_many_accounts_is_one_group() {
    let (_pg, mut owner, store) = prepared().await.unwrap();
    accounts(&mut owner, 3).await.unwrap();
    for statement in [
        "insert into log.failures (fingerprint, code, text) values ('transient-1', 'transient', 'Service is unavailable'), ('gone-2', 'tenant_gone', 'no')",
        "insert into log.jobs (job_id, account_id, job_type, scope, state, queued_at, finished_at, failures, event_number)
         select log.uuid_at(now() - n * interval '1 min'), account_id, 'auto', 'changed', 'partly', now(), now() - n * interval '1 min',
                case when n = 9 then '{gone-2}'::text[] when n = 1 then '{transient-1,gone-2}' when n < 5 then '{transient-1}' end, 1
           from generate_series(1, 9) n join admin.accounts on right(name, 1)::int = n % 3 + 1",
    ] {
        sqlx::query(statement).execute(&mut owner).await.unwrap();
    }
    let mut tx = store.begin("test.failures").await.unwrap();
    let until = now(&mut owner).await.unwrap();
    let found = fleet::failures(&mut tx, until - Duration::hours(1), 10).await.unwrap();
    let short: Vec<_> = found.iter().map(|g| (g.fingerprint.as_str(), g.jobs, g.accounts)).collect();
    assert_eq!(short, [("transient-1", 4, 3), ("gone-2", 2, 2)]);
    assert_eq!((found[0].code.as_str(), found[0].text.as_str()), ("transient", "Service is unavailable"));
    assert!(found[0].since < found[0].last && found[0].last <= until);
    assert_eq!(fleet::failures(&mut tx, until - Duration::minutes(6), 10).await.unwrap()[1].jobs, 1);
    assert_eq!(fleet::failures(&mut tx, until - Duration::hours(1), 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn idea3_five_thousand_accounts_are_counted_while_somebody_waits() {
    let (_pg, mut owner, store) = prepared().await.unwrap();
    accounts(&mut owner, 5000).await.unwrap();
    for statement in [
        "insert into sync.users (account_id, pbx_user_id, microsoft_user, confirmed_gen, settled_gen)
         select account_id, n::text, gen_random_uuid(), 1, 1 from admin.accounts, generate_series(1, 20) n",
        "insert into queue.windows (account_id, first_change_at, last_change_at, due_at)
         select account_id, now(), now(), now() from admin.accounts where right(name, 1) = '7'",
        "insert into log.jobs (job_id, account_id, job_type, scope, state, queued_at, first_change_at, started_at, finished_at, event_number)
         select log.uuid_at(now() - (random() * 86400) * interval '1 s' - n * interval '1 day'), account_id, 'auto', 'changed', 'succeeded',
                now(), now(), now(), now(), 1
           from admin.accounts, generate_series(0, 9) n on conflict do nothing",
        "analyze",
    ] {
        sqlx::raw_sql(statement).execute(&mut owner).await.unwrap();
    }
    let mut tx = store.begin("test.many").await.unwrap();
    let begun = tokio::time::Instant::now();
    let counts = fleet::counts(&mut tx).await.unwrap();
    let since = now(&mut owner).await.unwrap() - Duration::hours(72);
    fleet::lateness(&mut tx, since).await.unwrap();
    fleet::waiting(&mut tx, None, 51).await.unwrap();
    fleet::in_state(&mut tx, AccountState::InSync, "a002500", 51).await.unwrap();
    let took = begun.elapsed();
    let of = |wanted| counts.iter().find(|(state, _)| *state == wanted).unwrap().1.accounts;
    assert_eq!((of(AccountState::ChangesQueued), of(AccountState::InSync)), (500, 4500));
    assert!(took.as_secs() < 10, "{took:?}");
}
