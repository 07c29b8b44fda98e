//! Every statement can be prepared against a migrated database.

use sqlx::{Connection, Executor, SqlSafeStr};

use crate::database;

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let pg = database::migrated().await.unwrap();
    let mut owner = database::owner(&pg).await.unwrap();
    let statements = tandem_store::statements();
    let mut wrong = Vec::new();
    for (name, text) in &statements {
        // the protocol's own prepare, which also takes statements such as `set transaction`
        if let Err(error) = (&mut owner).prepare((*text).into_sql_str()).await {
            wrong.push(format!("{name}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} statements:\n{}", wrong.len(), statements.len(), wrong.join("\n"));
    owner.close().await.unwrap();
}

#[test]
fn no_name_is_given_twice() {
    let mut names: Vec<_> = tandem_store::statements().into_iter().map(|(name, _)| name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
