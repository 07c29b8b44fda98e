//! The kit itself: servers start, are separate, and leave nothing behind.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tandem_testkit::{Nats, Pg, TempDir, capture_logs, eventually};

async fn databases(url: &str) -> sqlx::Result<Vec<String>> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query_scalar("SELECT datname FROM pg_database WHERE datname LIKE 'test%' ORDER BY 1")
        .fetch_all(&mut connection)
        .await
}

#[tokio::test]
async fn each_database_is_new() {
    let pg = Pg::start().await.unwrap();
    let (one, two) = (pg.fresh_db().await.unwrap(), pg.fresh_db().await.unwrap());
    assert_ne!(one.name, two.name);
    let mut connection = PgConnection::connect(&one.url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE only_here (id int)").execute(&mut connection).await.unwrap();
    let mut connection = PgConnection::connect(&two.url).await.unwrap();
    sqlx::raw_sql("SELECT * FROM only_here").execute(&mut connection).await.unwrap_err();
    assert_eq!(databases(&pg.url).await.unwrap(), ["test", "test_0", "test_1"]);
}

#[tokio::test]
async fn a_prepared_database_is_made_once_and_copied() {
    let key = format!("kit-{}", std::process::id());
    let prepare = async |pg: &Pg| {
        let mut connection = PgConnection::connect(&pg.url).await?;
        sqlx::raw_sql("CREATE TABLE kept AS SELECT 7 AS n").execute(&mut connection).await?;
        Ok(())
    };
    let first = Pg::start_prepared(&key, prepare).await.unwrap();
    let second = Pg::start_prepared(&key, async |_| anyhow::bail!("must not run again")).await.unwrap();
    for pg in [&first, &second] {
        let mut connection = PgConnection::connect(&pg.url).await.unwrap();
        let kept: i32 = sqlx::query_scalar("SELECT n FROM kept").fetch_one(&mut connection).await.unwrap();
        assert_eq!(kept, 7);
    }
    tandem_testkit::forget_prepared(&key).await.unwrap();
}

#[tokio::test]
async fn nats_has_a_user_and_no_door_without_one() {
    let nats = Nats::start().await.unwrap();
    assert!(nats.url().unwrap().starts_with("nats://test:"));
    assert!(nats.url_of("nobody").is_err());
}

#[tokio::test]
async fn a_folder_goes_with_its_handle() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_owned();
    assert!(path.is_dir());
    drop(dir);
    assert!(!path.exists());
}

#[tokio::test]
async fn polling_ends_with_the_answer() {
    let mut asked = 0;
    let answer = eventually(Duration::from_secs(5), || {
        asked += 1;
        let answer = (asked == 3).then_some("there");
        async move { answer }
    })
    .await;
    assert_eq!(answer, "there");
}

#[tokio::test]
#[should_panic(expected = "still not so after 30ms, awaited at crates/testkit/tests/kit.rs")]
async fn polling_ends_with_the_deadline() {
    eventually(Duration::from_millis(30), || async { None::<()> }).await;
}

#[tokio::test]
async fn log_lines_are_captured() {
    let logs = capture_logs();
    tracing::debug!(tandem.account = "a1", "looked");
    assert!(logs.contain("looked") && logs.contain("a1"));
}
