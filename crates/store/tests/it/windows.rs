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

async fn record(store: &Store, user: &str, detected_at: OffsetDateTime) -> Result<()> {
    let change = NewChange {
        account: ACCOUNT,
        user: Some(PbxUserId(user.to_owned())),
        kind: ChangeKind::Updated,
        fields: vec!["extension"],
        before: None,
        after: None,
        detected_at,
        saved_at: None,
    };
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
        record(&recorder, user, noon + Duration::seconds(at)).await.unwrap();
    }
    let debouncer = database::store(&pg, Login::Debouncer);
    let timing = Timing { quiet: Duration::minutes(1), max_wait: Duration::minutes(4) };
    let gathered = windows::gather(&debouncer, &[Named::from(ACCOUNT)], timing).await.unwrap();
    let window = gathered.first().unwrap();
    assert_eq!(window.generation, 6);
    assert_eq!(window.first_change_at, Some(noon + Duration::seconds(5)));
    assert_eq!(window.due_at, Some(noon + Duration::seconds(20) + timing.quiet));
}
