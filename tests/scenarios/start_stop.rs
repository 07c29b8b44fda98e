//! Each role is started and stopped again and again while there is work for it; nothing is lost, nobody complains.

use anyhow::Result;
use tandem_tests::{Account, Mortal, Tester, hasty_sync};

const ROUNDS: u32 = 10;
const USERS: u32 = 4;

/// How many saves happen while the role runs: from stopped at once to stopped in the middle of a job.
fn saves(round: u32) -> u32 {
    (round * 7 + 3) % 5
}

struct Load {
    tester: Tester,
    accounts: Vec<Account>,
    saved: u32,
}

impl Load {
    async fn start() -> Result<Self> {
        let mut tester = Tester::start().await?;
        let accounts = vec![tester.account(USERS).await?, tester.account(USERS).await?];
        Ok(Self { tester, accounts, saved: 0 })
    }

    /// The n-th save: everybody of one account gets the number of the neighbour.
    async fn save(&mut self) -> Result<()> {
        self.saved += 1;
        let account = &self.accounts[self.saved as usize % self.accounts.len()];
        let numbers: Vec<String> =
            (1..=USERS).map(|i| account.telephone(1 + (i + self.saved) % (USERS + 1))).collect();
        let edits: Vec<(u32, Option<&str>)> =
            (1..=USERS).zip(&numbers).map(|(i, number)| (i, Some(number.as_str()))).collect();
        self.tester.save(account, &edits).await?;
        Ok(())
    }

    /// Starts and stops `role`, each time after some saves.
    async fn again_and_again(&mut self, role: impl AsyncFn(&Tester) -> Result<Mortal>) -> Result<()> {
        for round in 0..ROUNDS {
            let running = role(&self.tester).await?;
            for _ in 0..saves(round) {
                self.save().await?;
            }
            running.stop().await?;
            self.save().await?;
        }
        Ok(())
    }

    /// Everybody runs, and everything comes true.
    async fn end(self, roles: Vec<Mortal>) -> Result<()> {
        self.tester.at_rest().await;
        for (index, account) in self.accounts.iter().enumerate() {
            let last = (1..=self.saved).rev().find(|n| *n as usize % self.accounts.len() == index);
            let last = last.unwrap_or_default();
            let wanted: Vec<Option<String>> =
                (1..=USERS).map(|i| Some(account.telephone(1 + (i + last) % (USERS + 1)))).collect();
            assert_eq!(self.tester.numbers(account, USERS).await?, wanted, "{}", account.name);
        }
        for role in roles {
            role.stop().await?;
        }
        self.tester.finish().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_debouncer_stops_and_starts() -> Result<()> {
    let mut load = Load::start().await?;
    let others = vec![load.tester.mortal_worker(hasty_sync()).await?, load.tester.mortal_log().await?];
    load.again_and_again(async |tester| tester.mortal_debouncer().await).await?;
    let last = load.tester.mortal_debouncer().await?;
    load.end(others.into_iter().chain([last]).collect()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_stops_and_starts() -> Result<()> {
    let mut load = Load::start().await?;
    let others = vec![load.tester.mortal_debouncer().await?, load.tester.mortal_log().await?];
    load.again_and_again(async |tester| tester.mortal_worker(hasty_sync()).await).await?;
    let last = load.tester.mortal_worker(hasty_sync()).await?;
    load.end(others.into_iter().chain([last]).collect()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_stops_and_starts() -> Result<()> {
    let mut load = Load::start().await?;
    let others = vec![load.tester.mortal_debouncer().await?, load.tester.mortal_worker(hasty_sync()).await?];
    load.again_and_again(async |tester| tester.mortal_log().await).await?;
    let last = load.tester.mortal_log().await?;
    load.end(others.into_iter().chain([last]).collect()).await
}
