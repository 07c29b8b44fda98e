//! Bearer tokens of somebody who is shut out.

use tandem_store::Login;
use tandem_store::portal::{people, tokens};
use time::Duration;
use time::macros::datetime;
use uuid::Uuid;

use crate::database;

#[tokio::test]
async fn b21_who_is_let_in_again_gets_no_token_of_before_back() {
    let pg = database::migrated().await.unwrap();
    let mut owner = database::owner(&pg).await.unwrap();
    let (person, now) = (Uuid::from_u128(1), datetime!(2026-03-01 12:00 UTC));
    sqlx::query("insert into admin.people (person_id, issuer, subject, name, operator, created_at, signed_in_at) values ($1, 'provider', 'olga', 'Olga', true, now(), now())")
        .bind(person)
        .execute(&mut owner)
        .await
        .unwrap();
    let (portal, operator) = (database::store(&pg, Login::Portal), database::store(&pg, Login::Operator));
    let until = now + Duration::DAY;
    let new = tokens::NewToken { id: Uuid::from_u128(2), person, hash: [7; 32], name: "laptop", now, until };
    let mut tx = portal.begin("test.make").await.unwrap();
    assert!(tokens::make(&mut tx, &new).await.unwrap());
    assert!(tokens::find(&mut tx, &new.hash, now).await.unwrap().is_some());
    tx.commit().await.unwrap();
    let mut tx = operator.begin("test.shut_out").await.unwrap();
    assert!(people::disable(&mut tx, person, Some(now)).await.unwrap());
    assert_eq!(tokens::revoke_all(&mut tx, person, now).await.unwrap(), 1);
    assert!(people::disable(&mut tx, person, None).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = portal.begin("test.find").await.unwrap();
    assert_eq!(tokens::find(&mut tx, &new.hash, now).await.unwrap(), None);
}
