//! The list of Microsoft users: who may write it, and how it is read.

use anyhow::Result;
use serde_json::json;
use sqlx::PgConnection;
use tandem_domain::eligible::{NotEligible, PhonePlan, UserKind, Verdict};
use tandem_domain::{AccountId, JobId, ObjectId};
use tandem_store::microsoft_users::{self, Ended, Filter, MicrosoftUser, Seen};
use tandem_store::{Login, Store, StoreError};
use uuid::Uuid;

use crate::database;

const ACCOUNT: AccountId = AccountId(Uuid::from_u128(0xacc0));
const JOB: JobId = JobId(Uuid::from_u128(0x10b));

/// An account with a running job of epoch 1.
async fn running(owner: &mut PgConnection) -> Result<()> {
    sqlx::query("insert into admin.accounts (account_id, name, label) values ($1, 'alpha', 'Alpha')")
        .bind(ACCOUNT.0)
        .execute(&mut *owner)
        .await?;
    sqlx::query(
        "insert into queue.jobs (job_id, account_id, job_type, scope, state, cause, due_at, epoch, started_at, worker, lease_until)
         values ($1, $2, 'manual', 'all', 'running', 'request', now(), 1, now(), 'w', now() + interval '1 minute')",
    )
    .bind(JOB.0)
    .bind(ACCOUNT.0)
    .execute(owner)
    .await?;
    Ok(())
}

fn seen(number: u128, upn: &str, why_not: Option<NotEligible>) -> Seen {
    Seen {
        oid: ObjectId(Uuid::from_u128(number)),
        upn: upn.to_owned(),
        display_name: Some("Zero\0 Byte".to_owned()),
        phone_plan: PhonePlan::Enabled,
        account_enabled: true,
        verdict: Verdict { kind: UserKind::User, why_not, flags: vec![] },
    }
}

async fn begin(store: &Store, discovery: Uuid) -> Result<()> {
    let mut tx = store.begin("test.begin").await?;
    microsoft_users::begin(&mut tx, discovery, ACCOUNT, JOB, 1).await?;
    tx.commit().await?;
    Ok(())
}

async fn page(store: &Store, discovery: Uuid, users: &[Seen]) -> Result<(), StoreError> {
    let mut tx = store.begin("test.page").await?;
    microsoft_users::page(&mut tx, discovery, users).await?;
    tx.commit().await
}

async fn end(store: &Store, discovery: Uuid, cut: Option<(String, String)>) -> Result<u64, StoreError> {
    let mut tx = store.begin("test.end").await?;
    let ended = Ended { pages: 1, users: 1, counts: json!({}), cut };
    let gone = microsoft_users::end(&mut tx, discovery, ACCOUNT, &ended).await?;
    tx.commit().await?;
    Ok(gone)
}

async fn list(store: &Store, after: Option<&MicrosoftUser>, limit: i64) -> Result<Vec<MicrosoftUser>> {
    let mut tx = store.begin("test.list").await?;
    Ok(microsoft_users::list(&mut tx, ACCOUNT, &Filter::default(), after, limit).await?)
}

#[tokio::test]
async fn only_the_claim_that_began_a_reading_goes_on_with_it() {
    let pg = database::migrated().await.unwrap();
    let mut owner = database::owner(&pg).await.unwrap();
    running(&mut owner).await.unwrap();
    let store = database::store(&pg, Login::TeamsSync);
    let [first, second] = [1, 2].map(Uuid::from_u128);
    begin(&store, first).await.unwrap();
    page(&store, first, &[seen(7, "ana@customer.example", None)]).await.unwrap();

    // a successor begins anew: the reading left behind is cut and cannot be gone on with
    begin(&store, second).await.unwrap();
    let late = page(&store, first, &[seen(8, "ben@customer.example", None)]).await;
    assert!(matches!(late, Err(StoreError::Superseded { .. })), "{late:?}");
    assert!(matches!(end(&store, first, None).await, Err(StoreError::Superseded { .. })));

    // the job is taken over: its new epoch ends the second one as well
    sqlx::query("update queue.jobs set epoch = 2").execute(&mut owner).await.unwrap();
    let late = page(&store, second, &[seen(8, "ben@customer.example", None)]).await;
    assert!(matches!(late, Err(StoreError::Superseded { .. })), "{late:?}");
    let users = list(&store, None, 10).await.unwrap();
    assert_eq!(users.len(), 1);
    assert_eq!(users[0].display_name.as_deref(), Some("Zero\u{fffd} Byte"));
}

#[tokio::test]
async fn pages_follow_each_other_and_the_long_gone_are_forgotten() {
    let pg = database::migrated().await.unwrap();
    let mut owner = database::owner(&pg).await.unwrap();
    running(&mut owner).await.unwrap();
    let store = database::store(&pg, Login::TeamsSync);
    let [first, second, third, fourth] = [1, 2, 3, 4].map(Uuid::from_u128);
    begin(&store, first).await.unwrap();
    // one name twice, names in other cases and other scripts: every user comes once, whatever the page
    let names = [
        "b@x.example",
        "A@x.example",
        "\u{c9}va@x.example",
        "b@x.example",
        "\u{17d}@x.example",
        "c@x.example",
    ];
    let users: Vec<Seen> =
        names.iter().zip(1..).map(|(name, i)| seen(i, name, Some(NotEligible::Room))).collect();
    page(&store, first, &users).await.unwrap();
    assert_eq!(end(&store, first, None).await.unwrap(), 0);
    let whole = list(&store, None, 100).await.unwrap();
    let mut paged: Vec<MicrosoftUser> = Vec::new();
    loop {
        let next = list(&store, paged.last(), 2).await.unwrap();
        if next.is_empty() {
            break;
        }
        paged.extend(next);
    }
    let ids = |users: &[MicrosoftUser]| users.iter().map(|user| user.oid).collect::<Vec<_>>();
    assert_eq!((ids(&paged), paged.len()), (ids(&whole), 6));
    assert_eq!(whole[0].upn, "A@x.example");

    // a cut reading takes nobody off; a complete one does; three months later they are forgotten, but for mapped ones
    begin(&store, second).await.unwrap();
    page(&store, second, &users[..1]).await.unwrap();
    assert_eq!(end(&store, second, Some(("page 2".to_owned(), "why".to_owned()))).await.unwrap(), 0);
    begin(&store, third).await.unwrap();
    page(&store, third, &users[..1]).await.unwrap();
    assert_eq!(end(&store, third, None).await.unwrap(), 5);
    sqlx::query(
        "update sync.microsoft_users set gone_at = gone_at - interval '91 days' where gone_at is not null",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    sqlx::query("update admin.accounts set licences = 1").execute(&mut owner).await.unwrap();
    sqlx::query("insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service) values ($1, '101', $2, 'voice')")
        .bind(ACCOUNT.0)
        .bind(Uuid::from_u128(2))
        .execute(&mut owner)
        .await
        .unwrap();
    begin(&store, fourth).await.unwrap();
    page(&store, fourth, &users[..1]).await.unwrap();
    assert_eq!(end(&store, fourth, None).await.unwrap(), 0);
    let left = list(&store, None, 100).await.unwrap();
    assert_eq!(left.iter().map(|user| user.oid.0.as_u128()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(left[0].mapped_to.as_ref().map(|user| user.as_str()), Some("101"));
}
