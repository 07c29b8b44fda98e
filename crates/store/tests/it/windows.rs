//! What a window knows of the changes that it gathers.

use anyhow::Result;
use tandem_domain::window::Timing;
use tandem_domain::{AccountId, PbxUserId};
use tandem_store::change::{self, ChangeKind, NewChange};
use tandem_store::windows::{self, Named};
use tandem_store::{Login, Store};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::database;

const ACCOUNT: AccountId = AccountId(Uuid::from_u128(0xacc0));

fn change(account: AccountId, user: &str, detected_at: OffsetDateTime) -> NewChange {
    NewChange {
        account,
        user: Some(PbxUserId(user.to_owned())),
        kind: ChangeKind::Updated,
        fields: vec!["extension"],
        before: None,
        after: None,
        detected_at,
        saved_at: None,
    }
}

async fn record(store: &Store, change: NewChange) -> Result<()> {
    let mut tx = store.begin("test.record").await?;
    change::record(&mut tx, "test", &[change]).await?;
    Ok(tx.commit().await?)
}

#[tokio::test]
async fn a_window_begins_with_the_earliest_change_that_counts_whatever_the_order_they_land_in() {
    let (pg, _) = database::seeded(
        "insert into admin.accounts (account_id, name, label, auto_sync, licences)
         values ('00000000-0000-0000-0000-00000000acc0', 'alpha', 'Alpha', true, 5);
         insert into change.generations (account_id) select account_id from admin.accounts;
         insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service)
         select account_id, 'mapped', gen_random_uuid(), 'voice' from admin.accounts",
    )
    .await
    .unwrap();
    let noon = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
    let recorder = database::store(&pg, Login::Operator);
    // in the order in which they land: seconds after noon at which they were detected
    for (user, at) in
        [("other", -30), ("mapped", 10), ("mapped", 20), ("mapped", 5), ("mapped", 15), ("other", 40)]
    {
        record(&recorder, change(ACCOUNT, user, noon + Duration::seconds(at))).await.unwrap();
    }
    let debouncer = database::store(&pg, Login::Debouncer);
    let timing = Timing { quiet: Duration::minutes(1), max_wait: Duration::minutes(4) };
    let gathered = windows::gather(&debouncer, &[Named::from(ACCOUNT)], timing).await.unwrap();
    let window = gathered.first().unwrap();
    assert_eq!(window.generation, 6);
    assert_eq!(window.first_change_at, Some(noon + Duration::seconds(5)));
    assert_eq!(window.due_at, Some(noon + Duration::seconds(20) + timing.quiet));
}

#[tokio::test]
async fn one_change_opens_a_window_if_it_counts_and_its_trace_goes_with_it() {
    let (pg, mut owner) = database::seeded(
        "insert into admin.accounts (account_id, name, label, auto_sync, licences)
         select ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'a' || n, 'A', true, 5 from generate_series(1, 6) n;
         insert into change.generations (account_id) select account_id from admin.accounts;
         insert into admin.mappings (account_id, pbx_user_id, microsoft_user, service)
         select account_id, 'mapped', gen_random_uuid(), 'voice' from admin.accounts;
         insert into sync.standing (account_id, microsoft_user, pbx_user_id, number)
         select account_id, gen_random_uuid(), 'leaver', '+12125550101' from admin.accounts",
    )
    .await
    .unwrap();
    let noon = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
    let account = |n: u128| AccountId(Uuid::from_u128(n));
    let updated = |n, user| change(account(n), user, noon);
    let of_kind = |n, user: Option<&str>, kind| NewChange {
        user: user.map(|user| PbxUserId(user.to_owned())),
        kind,
        ..updated(n, "")
    };
    let recorder = database::store(&pg, Login::Operator);
    for change in [
        updated(1, "mapped"),
        updated(2, "other"),
        updated(3, "leaver"),
        of_kind(4, None, ChangeKind::Settings),
        of_kind(5, Some("other"), ChangeKind::Unmapped),
        updated(6, "mapped"),
    ] {
        record(&recorder, change).await.unwrap();
    }
    let named =
        |n: u128, trace: Option<&str>| Named { account: account(n), traceparent: trace.map(str::to_owned) };
    // in no order, one twice, one that is gone, some without a trace
    let alone = [named(6, Some("six"))];
    let named = [
        named(3, Some("three")),
        named(9, Some("gone")),
        named(1, Some("one")),
        named(2, Some("two")),
        named(1, Some("again")),
        named(4, None),
        named(5, None),
    ];
    let debouncer = database::store(&pg, Login::Debouncer);
    let timing = Timing { quiet: Duration::minutes(1), max_wait: Duration::minutes(4) };
    let mut gathered = windows::gather(&debouncer, &named, timing).await.unwrap();
    gathered.extend(windows::gather(&debouncer, &alone, timing).await.unwrap());
    let open: Vec<_> =
        gathered.iter().filter(|w| w.first_change_at == Some(noon)).map(|w| w.account.0.as_u128()).collect();
    assert_eq!((gathered.len(), open), (6, vec![1, 3, 4, 5, 6]));
    assert!(gathered.iter().all(|window| window.due_at.is_none() == (window.first_change_at.is_none())));
    let traces: Vec<Option<String>> =
        sqlx::query_scalar("select traceparent from queue.windows order by account_id")
            .fetch_all(&mut owner)
            .await
            .unwrap();
    let traces: Vec<&str> = traces.iter().map(|trace| trace.as_deref().unwrap_or("none")).collect();
    assert_eq!(traces, ["one", "none", "three", "none", "none", "six"]);
    assert!(windows::gather(&debouncer, &named, timing).await.unwrap().is_empty());
}
