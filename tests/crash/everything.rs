//! Every role is killed at moments that nobody chose, under a trickle of edits.

use std::time::Duration;

use anyhow::Result;
use tandem_runtime::Ids;

use crate::fleet::{Fleet, Id, ROLES};

const ROUNDS: u32 = 5;
/// Edits between two deaths at most.
const SPREAD: f64 = 8.0;
const USERS: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_role_is_killed_again_and_again() -> Result<()> {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let chance = Ids::seeded(seed);
    let mut fleet = Fleet::start().await?;
    let account = fleet.tester.account(USERS).await?;
    let mut living: Vec<Id> = Vec::new();
    for role in ROLES {
        living.push(fleet.run(role).await?);
    }
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut edit = 0;
    for _ in 0..ROUNDS {
        for (slot, role) in ROLES.iter().enumerate() {
            let edits = 1 + (chance.fraction() * SPREAD) as u32;
            for _ in 0..edits {
                tick.tick().await;
                edit += 1;
                // numbers wander between the users, so that moves and swaps are under way when somebody dies
                let user = 1 + edit % USERS;
                let number = account.telephone(1 + (edit / USERS + user) % (USERS + 2));
                fleet.tester.save(&account, &[(user, Some(&number))]).await.ok();
            }
            fleet.process(living[slot]).kill9().await?;
            living[slot] = fleet.spawn(role, &[])?;
        }
    }
    fleet.ready(&living).await?;
    let last: Vec<String> = (1..=USERS).map(|i| account.telephone(i + 10)).collect();
    let edits: Vec<(u32, Option<&str>)> = (1..).zip(last.iter().map(|n| Some(n.as_str()))).collect();
    fleet.tester.save(&account, &edits).await?;
    let numbers: Vec<Option<&str>> = last.iter().map(|n| Some(n.as_str())).collect();
    // every user may be written to twice for each change, and once more for each death
    let most = (2 * edit + USERS * ROUNDS * 3) as usize;
    fleet.expect(&account, &numbers, most).await?;
    fleet.finish().await
}
