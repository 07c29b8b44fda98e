//! Keys never overlap, keys never wait for each other, and a trailing debounce has a longest wait.
//!
//! Generated histories run on a real database through the functions that debouncers and workers call: changes are
//! recorded, gathered by one of two debouncers (or by nobody: the announcement was lost), cut by one of two, claimed
//! by one of two workers, finished, taken over. What stands in one round runs at the same time. Minutes pass because
//! everything on record slides into the past. After every round the sentences above are checked, see
//! [`World::verdicts`].
//!
//! Known nondeterminism: within a round the database decides who comes first. The sentences hold whoever does.

mod world;

use std::time::Duration;

use anyhow::Result;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tandem_tests::Tester;

use self::world::{ACCOUNTS, World};

/// One thing that somebody does.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Users change; of the four of an account two have a mapping.
    Record { account: usize, users: Vec<usize> },
    /// A setting changes.
    Setting { account: usize },
    /// An announcement arrives at a debouncer.
    Gather { debouncer: usize, accounts: Vec<usize> },
    /// A debouncer looks for what was not announced.
    Sweep { debouncer: usize },
    /// A debouncer cuts what is due.
    Cut { debouncer: usize },
    /// A person asks for a sync, and a debouncer carries it out.
    Request { debouncer: usize, account: usize },
    /// A worker claims what waits; it plans at once, or dies before.
    Claim { worker: usize, plans: bool },
    /// A claim ends.
    Finish { nth: usize },
    /// A worker takes over what silent workers left.
    TakeOver { worker: usize },
}

/// What happens at once, and how many minutes pass afterwards.
#[derive(Clone, Debug)]
pub(super) struct Round {
    ops: Vec<Op>,
    minutes: u8,
}

#[derive(Clone, Debug)]
struct History {
    /// The first account's jobs never end.
    stuck: bool,
    rounds: Vec<Round>,
}

fn op() -> impl Strategy<Value = Op> {
    let (account, two) = (0..ACCOUNTS, 0..2_usize);
    prop_oneof![
        4 => (account.clone(), subsequence(vec![0, 1, 2, 3], 1..=3)).prop_map(|(account, users)| Op::Record { account, users }),
        1 => account.clone().prop_map(|account| Op::Setting { account }),
        4 => (two.clone(), subsequence((0..ACCOUNTS).collect::<Vec<_>>(), 1..=ACCOUNTS))
            .prop_map(|(debouncer, accounts)| Op::Gather { debouncer, accounts }),
        1 => two.clone().prop_map(|debouncer| Op::Sweep { debouncer }),
        4 => two.clone().prop_map(|debouncer| Op::Cut { debouncer }),
        1 => (two.clone(), account).prop_map(|(debouncer, account)| Op::Request { debouncer, account }),
        4 => (two.clone(), any::<bool>()).prop_map(|(worker, plans)| Op::Claim { worker, plans }),
        3 => (0..8_usize).prop_map(|nth| Op::Finish { nth }),
        1 => two.prop_map(|worker| Op::TakeOver { worker }),
    ]
}

fn history() -> impl Strategy<Value = History> {
    let round = (vec(op(), 1..=4), 0..=14_u8).prop_map(|(ops, minutes)| Round { ops, minutes });
    (any::<bool>(), vec(round, 1..=14)).prop_map(|(stuck, rounds)| History { stuck, rounds })
}

async fn live_through(tester: &Tester, history: &History) -> Result<()> {
    let world = World::fresh(tester, history.stuck).await?;
    for round in &history.rounds {
        world.at_once(&round.ops).await?;
        world.verdicts().await?;
        world.pass(round.minutes).await?;
    }
    let drained = world.drain().await;
    world.close().await;
    drained
}

#[test]
fn keys_never_overlap_never_wait_and_never_wait_too_long() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let tester = runtime.block_on(Tester::start())?;
    let config = Config { cases: 48, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let outcome = TestRunner::new(config).run(&history(), |history| {
        runtime
            .block_on(live_through(&tester, &history))
            .map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    runtime.block_on(tester.abandon());
    outcome.map_err(|failure| anyhow::anyhow!("{failure}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_cutter_delays_its_own_account_only() -> Result<()> {
    let tester = Tester::start().await?;
    let world = World::fresh(&tester, false).await?;
    for account in [0, 1] {
        world.at_once(&[Op::Record { account, users: vec![0] }]).await?;
        world.at_once(&[Op::Gather { debouncer: 0, accounts: vec![account] }]).await?;
        world.pass(5).await?;
    }
    world.pass(60).await?;
    // the first account has been due for longer
    let frozen = world.start_cutting().await?;
    // everybody else goes on, from the change to the claim
    let others = async {
        world.at_once(&[Op::Cut { debouncer: 1 }, Op::Record { account: 2, users: vec![0] }]).await?;
        world.at_once(&[Op::Gather { debouncer: 1, accounts: vec![2, 3] }]).await?;
        world.at_once(&[Op::Claim { worker: 1, plans: true }]).await
    };
    tokio::time::timeout(Duration::from_secs(8), others).await??;
    assert_eq!(world.running().await?, [1]);
    // and what the frozen one held is cut by anybody once its transaction is gone
    drop(frozen);
    world.at_once(&[Op::Cut { debouncer: 1 }, Op::Cut { debouncer: 0 }]).await?;
    world.drain().await?;
    world.close().await;
    tester.abandon().await;
    Ok(())
}
