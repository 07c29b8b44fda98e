//! The chain of audit records in the database: appended, verified, never changed.

use anyhow::Result;
use tandem_domain::AccountId;
use tandem_domain::audit::{Broken, Follower};
use tandem_store::portal::audit::{self, Entry};
use tandem_store::{Login, Store};
use time::macros::datetime;
use uuid::Uuid;

use crate::database;

const ACCOUNT: AccountId = AccountId(Uuid::from_u128(5));

async fn append(store: &Store, act: &str) -> Result<()> {
    let mut tx = store.begin_for("test.append", ACCOUNT).await?;
    let at = datetime!(2026-03-01 12:00:00.123456 UTC);
    let entry = Entry {
        account: ACCOUNT,
        at,
        person: None,
        name: "Olga",
        act,
        allowed: true,
        subject: "s",
        reason: "r",
    };
    audit::append(&mut tx, &entry).await?;
    tx.commit().await?;
    Ok(())
}

async fn verify(store: &Store) -> Result<Result<i64, Broken>> {
    let mut tx = store.begin_for("test.verify", ACCOUNT).await?;
    let head = audit::heads(&mut tx).await?.remove(0);
    let mut follower = Follower::default();
    for (record, hash) in audit::records(&mut tx, ACCOUNT, 0, 100).await? {
        if let Err(broken) = follower.follow(&record, &hash) {
            return Ok(Err(broken));
        }
    }
    Ok(follower.end(head.number, &head.hash))
}

#[tokio::test]
async fn i29_records_form_a_chain_that_nobody_can_change_unseen() {
    let pg = database::migrated().await.unwrap();
    let portal = database::store(&pg, Login::Portal);
    // at the same time, and still one after the other
    tokio::try_join!(append(&portal, "one"), append(&portal, "two"), append(&portal, "three")).unwrap();
    assert_eq!(verify(&portal).await.unwrap(), Ok(3));
    let mut owner = database::owner(&pg).await.unwrap();
    for forbidden in ["update admin.audit set act = 'x'", "delete from admin.audit", "truncate admin.audit"] {
        let error = sqlx::raw_sql(forbidden).execute(&mut owner).await.unwrap_err().to_string();
        assert!(error.contains("only ever added"), "{forbidden}: {error}");
    }
    // whoever owns the database can get around that, and is found out
    let change =
        "alter table admin.audit disable trigger user; update admin.audit set reason = 'x' where number = 2";
    sqlx::raw_sql(change).execute(&mut owner).await.unwrap();
    assert_eq!(verify(&portal).await.unwrap(), Err(Broken::Hash { number: 2 }));
    let cut =
        "update admin.audit set reason = 'r' where number = 2; delete from admin.audit where number = 3";
    sqlx::raw_sql(cut).execute(&mut owner).await.unwrap();
    assert_eq!(verify(&portal).await.unwrap(), Err(Broken::Tail { expected: 3, found: 2 }));
}
