//! Recording changes: generations in the order of the batch, account by account.

use anyhow::Result;
use sqlx::PgConnection;
use tandem_domain::{AccountId, PbxUserId};
use tandem_store::change::{self, ChangeKind, NewChange, Recorded};
use tandem_store::{Login, Store, StoreError};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database;

const ONE: AccountId = AccountId(Uuid::from_u128(0x2));
const TWO: AccountId = AccountId(Uuid::from_u128(0x1));

async fn accounts(owner: &mut PgConnection) -> Result<()> {
    for (account, name) in [(ONE, "one"), (TWO, "two")] {
        sqlx::query("insert into admin.accounts (account_id, name, label) values ($1, $2, $2)")
            .bind(account.0)
            .bind(name)
            .execute(&mut *owner)
            .await?;
        sqlx::query("insert into change.generations (account_id) values ($1)")
            .bind(account.0)
            .execute(&mut *owner)
            .await?;
    }
    Ok(())
}

fn of(account: AccountId, user: &str) -> NewChange {
    let after = serde_json::Map::from_iter([("dnd".to_owned(), user.into())]);
    NewChange {
        account,
        user: Some(PbxUserId(user.to_owned())),
        kind: ChangeKind::Updated,
        fields: vec!["dnd", "extension"],
        before: None,
        after: Some(after),
        detected_at: OffsetDateTime::UNIX_EPOCH,
        saved_at: None,
    }
}

async fn record(store: &Store, changes: &[NewChange]) -> Result<Vec<Recorded>, StoreError> {
    let mut tx = store.begin("test.record").await?;
    let recorded = change::record(&mut tx, "test", changes).await?;
    tx.commit().await?;
    Ok(recorded)
}

#[tokio::test]
async fn generations_follow_the_order_within_each_account() {
    let pg = database::migrated().await.unwrap();
    let mut owner = database::owner(&pg).await.unwrap();
    accounts(&mut owner).await.unwrap();
    let store = database::store(&pg, Login::Detector);
    let batch = [of(ONE, "a"), of(TWO, "x"), of(ONE, "b"), of(TWO, "y"), of(ONE, "c")];
    let recorded = record(&store, &batch).await.unwrap();
    let expected = |one, two| {
        [
            Recorded { account: TWO, generation: two, changes: 2 },
            Recorded { account: ONE, generation: one, changes: 3 },
        ]
    };
    assert_eq!(recorded, expected(3, 2));
    assert_eq!(record(&store, &batch).await.unwrap(), expected(6, 4));
    let kept: Vec<(i64, String, Vec<String>, String)> = sqlx::query_as(
        "select gen, pbx_user_id, fields, after ->> 'dnd' from change.log where account_id = $1 order by gen",
    )
    .bind(ONE.0)
    .fetch_all(&mut owner)
    .await
    .unwrap();
    let row = |generation: i64, user: &str| {
        (generation, user.to_owned(), vec!["dnd".to_owned(), "extension".to_owned()], user.to_owned())
    };
    let all: Vec<_> =
        (1..).zip(["a", "b", "c", "a", "b", "c"]).map(|(number, user)| row(number, user)).collect();
    assert_eq!(kept, all);
}

#[tokio::test]
async fn an_unknown_account_is_refused_and_nothing_is_kept() {
    let pg = database::migrated().await.unwrap();
    let mut owner = database::owner(&pg).await.unwrap();
    accounts(&mut owner).await.unwrap();
    let store = database::store(&pg, Login::Detector);
    let stranger = AccountId(Uuid::from_u128(0x3));
    let error = record(&store, &[of(ONE, "a"), of(stranger, "b")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Constraint { .. }), "{error:?}");
    let kept: i64 =
        sqlx::query_scalar("select count(*) from change.log").fetch_one(&mut owner).await.unwrap();
    assert_eq!(kept, 0);
}
