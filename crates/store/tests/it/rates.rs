//! The budget of requests that processes share.

use std::time::Duration;

use sqlx::PgConnection;
use tandem_store::rates::{self, Adaptation, Bought, Gates};
use tandem_store::{Login, Store};
use tandem_testkit::Pg;
use tokio::time::Instant;

use crate::database;

const ADAPTATION: Adaptation = Adaptation {
    cut: 0.5,
    ease: 0.8,
    ease_pause: Duration::from_secs(1),
    floor: 0.1,
    recovery_per_s: 1.0 / 60.0,
};
const APP: &str = "app:c0ffee";
const HOUR: Duration = Duration::from_secs(3600);

struct Books {
    pg: Pg,
    owner: PgConnection,
    one: Store,
    two: Store,
}

impl Books {
    async fn open() -> Self {
        let pg = database::migrated().await.unwrap();
        let owner = database::owner(&pg).await.unwrap();
        let store = || database::store(&pg, Login::TeamsSync);
        Self { one: store(), two: store(), owner, pg }
    }

    async fn buy(&self, store: &Store, rate: f64, burst: u32, requests: u32) -> Bought {
        rates::buy(store, APP, (rate, burst), requests, &ADAPTATION).await.unwrap()
    }

    async fn shut(&self, wait: Duration) {
        rates::shut(&self.one, APP, wait, false, &ADAPTATION).await.unwrap();
    }

    async fn share(&mut self) -> f64 {
        sqlx::query_scalar("select share from sync.budgets where scope = $1")
            .bind(APP)
            .fetch_one(&mut self.owner)
            .await
            .unwrap()
    }

    /// The gate opens now, and the rate has been what it is for some time.
    async fn open_gate(&mut self, changed: &'static str) {
        sqlx::query("update sync.budgets set shut_until = clock_timestamp(), changed = clock_timestamp() - $1::interval")
            .bind(changed)
            .execute(&mut self.owner)
            .await
            .unwrap();
    }
}

fn after(bought: Bought) -> Duration {
    match bought {
        Bought::After(after) => after,
        Bought::Shut(..) => panic!("{bought:?}"),
    }
}

#[tokio::test]
async fn i23_two_processes_share_one_rate() {
    let books = Books::open().await;
    let start = Instant::now();
    let mut last = Duration::ZERO;
    for lot in [5, 5, 10, 10, 10] {
        let (one, two) =
            tokio::join!(books.buy(&books.one, 1.0, 10, lot), books.buy(&books.two, 1.0, 10, lot));
        last = after(one).max(after(two));
    }
    // 80 requests at 1 a second, 10 of them at once
    let due = start.elapsed() + last;
    assert!(due >= Duration::from_millis(69_900), "{due:?}");
    assert!(last <= Duration::from_millis(70_100), "{last:?}");
}

#[tokio::test]
async fn a_rest_earns_a_burst_and_no_more() {
    let mut books = Books::open().await;
    after(books.buy(&books.one, 1.0, 10, 10).await);
    sqlx::query("update sync.budgets set booked = booked - interval '1 hour'")
        .execute(&mut books.owner)
        .await
        .unwrap();
    assert_eq!(after(books.buy(&books.two, 1.0, 10, 10).await), Duration::ZERO);
    assert!(after(books.buy(&books.two, 1.0, 10, 1).await) > Duration::from_millis(500));
}

#[tokio::test]
async fn i23_a_gate_shut_by_one_process_stops_the_others_and_they_hear_of_it() {
    let books = Books::open().await;
    books.shut(HOUR).await;
    let (mut gates, shut) = Gates::listen(&books.two).await.unwrap();
    assert_eq!((shut.len(), shut[0].scope.as_str()), (1, APP), "what was shut before is told first");
    let Bought::Shut(wait, false) = books.buy(&books.two, 100.0, 25, 1).await else { panic!("not shut") };
    assert!(wait <= HOUR && wait > HOUR / 2, "{wait:?}");
    // a shorter wait does not open it sooner; a longer one counts, and news that nobody can read is passed over
    books.shut(Duration::from_secs(1)).await;
    rates::shut(&books.one, "tenant:t", 2 * HOUR, true, &ADAPTATION).await.unwrap();
    let mut owner = database::owner(&books.pg).await.unwrap();
    sqlx::query("select pg_notify('tandem_throttled', 'gibberish')").execute(&mut owner).await.unwrap();
    rates::shut(&books.one, APP, 3 * HOUR, false, &ADAPTATION).await.unwrap();
    let heard = [gates.next().await.unwrap(), gates.next().await.unwrap(), gates.next().await.unwrap()];
    let seen: Vec<_> =
        heard.iter().map(|gate| (gate.scope.as_str(), gate.wait_ms / 1000 / 3500, gate.parked)).collect();
    assert_eq!(seen, [(APP, 1, false), ("tenant:t", 2, true), (APP, 3, false)]);
    let Bought::Shut(_, true) = rates::buy(&books.two, "tenant:t", (5.0, 5), 1, &ADAPTATION).await.unwrap()
    else {
        panic!("not parked")
    };
}

#[tokio::test]
async fn i23_one_event_cuts_the_rate_once_and_it_comes_back() {
    let mut books = Books::open().await;
    books.shut(HOUR).await;
    books.shut(HOUR).await;
    assert_eq!(books.share().await, 0.5);
    books.open_gate("0 s").await;
    // one request passes, the next waits for two intervals instead of one: no burst behind a gate
    assert!(after(books.buy(&books.two, 0.1, 10, 1).await) < Duration::from_secs(1));
    let second = after(books.buy(&books.two, 0.1, 10, 1).await);
    assert!((15.0..=25.0).contains(&second.as_secs_f64()), "{second:?}");
    books.open_gate("31 s").await;
    books.shut(HOUR).await;
    assert_eq!(books.share().await, 0.5, "the whole rate was back");
    for _ in 0..9 {
        books.open_gate("0 s").await;
        books.shut(HOUR).await;
    }
    assert_eq!(books.share().await, 0.1, "never to a standstill");
}

#[tokio::test]
async fn near_a_limit_the_rate_falls_once_a_second() {
    let mut books = Books::open().await;
    after(books.buy(&books.one, 5.0, 5, 1).await);
    rates::ease(&books.one, APP, &ADAPTATION).await.unwrap();
    rates::ease(&books.two, APP, &ADAPTATION).await.unwrap();
    assert_eq!(books.share().await, 0.8);
    books.open_gate("2 s").await;
    rates::ease(&books.two, APP, &ADAPTATION).await.unwrap();
    assert!(books.share().await < 0.7);
}

#[tokio::test]
async fn scopes_of_old_are_forgotten_and_the_others_kept() {
    let mut books = Books::open().await;
    after(books.buy(&books.one, 5.0, 5, 1).await);
    rates::shut(&books.one, "tenant:waits", HOUR, false, &ADAPTATION).await.unwrap();
    after(rates::buy(&books.one, "tenant:old", (5.0, 5), 1, &ADAPTATION).await.unwrap());
    sqlx::query("update sync.budgets set booked = booked - interval '2 days', changed = changed - interval '2 days' where scope like 'tenant:%'")
        .execute(&mut books.owner)
        .await
        .unwrap();
    assert_eq!(rates::forget(&books.one).await.unwrap(), 1);
    let left: Vec<String> = sqlx::query_scalar("select scope from sync.budgets order by 1")
        .fetch_all(&mut books.owner)
        .await
        .unwrap();
    assert_eq!(left, [APP, "tenant:waits"]);
}

#[tokio::test]
async fn nobody_else_touches_the_books() {
    let books = Books::open().await;
    for login in [Login::Detector, Login::Debouncer, Login::SyncLog, Login::Portal, Login::Operator] {
        let store = database::store(&books.pg, login);
        let refused = rates::shut(&store, APP, HOUR, false, &ADAPTATION).await;
        assert!(refused.is_err(), "{login:?} can stop every worker");
        assert!(rates::buy(&store, APP, (5.0, 5), 1, &ADAPTATION).await.is_err(), "{login:?}");
    }
}
