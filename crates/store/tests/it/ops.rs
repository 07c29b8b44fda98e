//! Messages that could not be read.

use std::collections::BTreeMap;

use tandem_store::Login;
use tandem_store::ops::{DeadLetter, keep_dead_letter};

use crate::database;

#[tokio::test]
async fn a_letter_is_kept_once_and_whole() {
    let pg = database::migrated().await.unwrap();
    let letter = DeadLetter {
        stream: "TANDEM_EVENTS".to_owned(),
        consumer: "sync-log".to_owned(),
        subject: "tandem.v1.event.a.b".to_owned(),
        sequence: 7,
        attempts: 1,
        headers: BTreeMap::from([("ce-type".to_owned(), "odd\0text".to_owned())]),
        payload: vec![0, 255, b'{'],
        code: "wire.bad_json".to_owned(),
        reason: "not JSON:\0".to_owned(),
    };
    let other = DeadLetter { payload: vec![1], ..letter.clone() };
    for login in [Login::Detector, Login::Debouncer, Login::TeamsSync, Login::SyncLog] {
        let store = database::store(&pg, login);
        keep_dead_letter(&store, &letter).await.unwrap();
        keep_dead_letter(&store, &other).await.unwrap();
    }
    let mut owner = database::owner(&pg).await.unwrap();
    let kept: Vec<(i64, Vec<u8>, String)> =
        sqlx::query_as("select sequence, payload, reason from ops.dead_letters order by id")
            .fetch_all(&mut owner)
            .await
            .unwrap();
    let reason = "not JSON:\u{fffd}".to_owned();
    assert_eq!(kept, [(7, vec![0, 255, b'{'], reason.clone()), (7, vec![1], reason)]);
}
