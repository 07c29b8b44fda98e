//! The model's own view of the world beside the real one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tandem_domain::guard::RemovalGuard;
use tandem_domain::policy::{PolicyRule, Service};
use tandem_domain::wanted::{AccountSettings, Mapping, WantedUser, wanted_user};
use tandem_domain::{ObjectId, Profile};
use tandem_store::{Login, Store, wanted};
use tandem_teams_sync::TeamsSyncSettings;
use tandem_testkit::eventually;
use tandem_tests::{Account, Mortal, Tester, hasty_sync};

use super::{Moment, Op, Trouble};

pub(super) const ACCOUNTS: usize = 2;
pub(super) const USERS: u32 = 4;

/// After the last fault: a lease, a wait-out, ladders, two equal reads and a settle check, all in a row and on a busy
/// machine.
const CALM: Duration = Duration::from_secs(120);

/// Policies that follow the profile.
fn rule() -> Value {
    json!({
        "when": { "set": { "field": "voicemail_enabled" } },
        "policy_type": "TeamsCallingPolicy", "policy_name": "Tandem-PBX-Voicemail",
    })
}

/// What the model knows of a PBX user.
#[derive(Clone, Debug)]
struct Person {
    profile: Profile,
    deleted: bool,
    microsoft: Option<u32>,
}

/// What the model knows of an account.
struct Customer {
    account: Account,
    people: BTreeMap<u32, Person>,
}

/// Number and policies of a Microsoft user.
type Look = (Option<String>, Vec<String>);

pub(super) struct World {
    tester: Tester,
    reader: Store,
    customers: Vec<Customer>,
    worker: Option<Mortal>,
    second: Option<Mortal>,
    debouncer: Option<Mortal>,
}

fn sync() -> TeamsSyncSettings {
    // everybody may lose everything here: the guard has its own tests
    TeamsSyncSettings { guard: RemovalGuard { floor: 1000, percent: 100 }, ..hasty_sync() }
}

impl World {
    /// Two accounts, one debouncer, two workers, one log.
    pub(super) async fn start() -> Result<Self> {
        let mut tester = Tester::start().await?;
        let mut customers = Vec::new();
        for _ in 0..ACCOUNTS {
            let account = tester.account(USERS).await?;
            tester.rules(&account, &[rule()]).await?;
            let people = (1..=USERS)
                .map(|i| {
                    (i, Person { profile: account.profile(i, None), deleted: false, microsoft: Some(i) })
                })
                .collect();
            customers.push(Customer { account, people });
        }
        tester.sync_log().await?;
        let mut world = Self {
            reader: tester.store(Login::TeamsSync),
            worker: Some(tester.mortal_worker(sync()).await?),
            second: Some(tester.mortal_worker(sync()).await?),
            debouncer: Some(tester.mortal_debouncer().await?),
            tester,
            customers,
        };
        for index in 0..ACCOUNTS {
            let account = &world.customers[index].account;
            let first = (1..=USERS).map(|i| (i, vec![account.telephone(i)])).collect();
            world.give(index, first).await?;
        }
        world.tester.at_rest().await;
        Ok(world)
    }

    pub(super) async fn act(&mut self, op: &Op) -> Result<()> {
        match op {
            Op::Number { account, user, number } => {
                let customer = &self.customers[*account];
                let number = customer.account.telephone(*number);
                let former = customer.people[user].profile.did_numbers.clone();
                let holder = customer
                    .people
                    .iter()
                    .find(|(_, person)| person.profile.did_numbers.contains(&number))
                    .map(|(i, _)| *i);
                let mut edits = vec![(*user, vec![number])];
                edits.extend(holder.filter(|holder| holder != user).map(|holder| (holder, former)));
                self.give(*account, edits).await
            }
            Op::NoNumber { account, user } => self.give(*account, vec![(*user, vec![])]).await,
            Op::Ring { account } => {
                let people = &self.customers[*account].people;
                let numbers: Vec<Vec<String>> =
                    people.values().map(|person| person.profile.did_numbers.clone()).collect();
                let moved = (1..=USERS).zip(numbers.into_iter().cycle().skip(1)).collect();
                self.give(*account, moved).await
            }
            Op::Voicemail { account, user } => {
                self.edit(*account, *user, |profile| profile.voicemail_enabled = !profile.voicemail_enabled)
                    .await
            }
            Op::Enabled { account, user } => {
                self.edit(*account, *user, |profile| profile.enabled = !profile.enabled).await
            }
            Op::Delete { account, user } => {
                let customer = &mut self.customers[*account];
                if let Some(person) = customer.people.get_mut(user)
                    && !std::mem::replace(&mut person.deleted, true)
                {
                    // its number is free for others from now on
                    person.profile.did_numbers.clear();
                    self.tester.delete(&customer.account, *user).await?;
                }
                Ok(())
            }
            Op::Unmap { account, user } => {
                let customer = &mut self.customers[*account];
                if let Some(person) = customer.people.get_mut(user)
                    && person.microsoft.take().is_some()
                {
                    self.tester.unmap(&customer.account, *user).await?;
                }
                Ok(())
            }
            Op::Map { account, user, microsoft } => {
                let customer = &mut self.customers[*account];
                let taken = customer.people.values().any(|person| person.microsoft == Some(*microsoft));
                if let Some(person) = customer.people.get_mut(user).filter(|_| !taken) {
                    person.microsoft = Some(*microsoft);
                    self.tester.map(&customer.account, *user, *microsoft).await?;
                }
                Ok(())
            }
            Op::AutoSync { account, on } => {
                self.tester.auto_sync(&self.customers[*account].account, *on).await
            }
            Op::Pause { account, millis } => {
                self.tester.pause(&self.customers[*account].account, *millis).await
            }
            Op::Request { account, all } => {
                let scope = if *all { "all" } else { "changed" };
                self.tester.request(&self.customers[*account].account, scope).await
            }
            Op::Fault { write, trouble, times } => self.tester.fault(&fault(write, *trouble, *times)).await,
            Op::Await(moment) => self.wait_for(*moment).await,
            Op::KillWorker(moment) => {
                self.wait_for(*moment).await?;
                // the older one dies, so that both die in turn
                let (dies, stays) = (self.worker.take(), self.second.take());
                self.worker = stays;
                if let Some(worker) = dies {
                    worker.die();
                }
                self.second = Some(self.tester.mortal_worker(sync()).await?);
                Ok(())
            }
            Op::KillDebouncer => {
                if let Some(debouncer) = self.debouncer.take() {
                    debouncer.die();
                }
                self.debouncer = Some(self.tester.mortal_debouncer().await?);
                Ok(())
            }
            Op::RestartBroker { wiped } => {
                let broker = &mut self.tester.nats.server;
                broker.kill9().await;
                if *wiped {
                    broker.wipe_store()?;
                }
                Ok(broker.restart().await?)
            }
        }
    }

    async fn give(&mut self, account: usize, edits: Vec<(u32, Vec<String>)>) -> Result<()> {
        let people = &self.customers[account].people;
        let profiles = edits
            .into_iter()
            .map(|(user, numbers)| {
                (
                    user,
                    Profile { did_numbers: numbers.into_iter().collect(), ..people[&user].profile.clone() },
                )
            })
            .collect();
        self.save(account, profiles).await
    }

    async fn edit(&mut self, account: usize, user: u32, change: impl FnOnce(&mut Profile)) -> Result<()> {
        let mut profile = self.customers[account].people[&user].profile.clone();
        change(&mut profile);
        self.save(account, vec![(user, profile)]).await
    }

    /// Saves what differs in one transaction; deleted users come back.
    async fn save(&mut self, account: usize, profiles: Vec<(u32, Profile)>) -> Result<()> {
        let customer = &mut self.customers[account];
        let mut changed = Vec::new();
        for (user, profile) in profiles {
            let Some(person) = customer.people.get_mut(&user) else { continue };
            if std::mem::replace(&mut person.deleted, false) {
                self.tester.come_back(&customer.account, user, &profile).await?;
            } else if person.profile != profile {
                changed.push((user, profile.clone()));
            }
            person.profile = profile;
        }
        if !changed.is_empty() {
            self.tester.save_profiles(&customer.account, &changed).await?;
        }
        Ok(())
    }

    async fn wait_for(&self, moment: Moment) -> Result<()> {
        let sql = match moment {
            Moment::JobRuns => "select count(*) from queue.jobs where state = 'running'",
            Moment::WriteOnItsWay => "select count(*) from sync.intents where ended_at is null",
            Moment::NothingWaits => {
                "select (not exists (select from queue.jobs where finished_at is null)
                     and not exists (select from queue.windows where due_at is not null))::int::bigint"
            }
        };
        let seen = eventually(Duration::from_secs(60), || async {
            let count: i64 = self.tester.count(sql).await.ok()?;
            (count > 0).then_some(())
        });
        // a moment that does not come is no failure; the history goes on
        let _ = tokio::time::timeout(Duration::from_secs(2), seen).await;
        Ok(())
    }

    /// Nobody does anything any more.
    pub(super) async fn calm(&self) -> Result<()> {
        self.tester.no_faults().await?;
        for customer in &self.customers {
            self.tester.auto_sync(&customer.account, true).await?;
        }
        let deadline = tokio::time::Instant::now() + CALM;
        loop {
            let unrest = self.tester.unrest(true).await?;
            if unrest.is_empty() {
                return self.tester.verdicts().await;
            }
            ensure!(tokio::time::Instant::now() < deadline, "not at rest: {unrest:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What happened on the way, so that one sees whether histories go where it hurts.
    pub(super) async fn story(&self) -> Result<String> {
        let sql = "select concat_ws(', ',
            (select string_agg(n || ' jobs ' || state, ', ') from (select state, count(*) n from queue.jobs group by state) j),
            (select string_agg(n || ' writes ' || state, ', ') from (select state, count(*) n from sync.intents group by state) i),
            (select string_agg(n || ' events ' || kind, ', ') from (select kind, count(*) n from queue.events
                where kind in ('taken_over', 'handed_over', 'cancelled', 'merged') group by kind) e),
            (select string_agg(n || ' users ' || code, ', ') from (select data->>'code' as code, count(*) n from queue.events
                where kind = 'user' and data->>'code' is not null group by 1) u))";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.tester.admin).await?)
    }

    /// The tenants are as the model wants them, and Tandem wants what the model wants.
    pub(super) async fn came_true(&self) -> Result<()> {
        for customer in &self.customers {
            let account = &customer.account;
            let wants = customer.wants()?;
            let snapshot = wanted::snapshot(&self.reader, account.id, None).await?;
            let theirs: BTreeMap<ObjectId, Look> = snapshot
                .wanted
                .iter()
                .map(|w| (w.oid, look(w)))
                .filter(|(_, l)| *l != Look::default())
                .collect();
            let ours: BTreeMap<ObjectId, Look> = wants
                .iter()
                .filter(|(_, l)| **l != Look::default())
                .map(|(i, l)| (account.oid(*i), l.clone()))
                .collect();
            ensure!(theirs == ours, "{}: Tandem wants {theirs:?}, the model {ours:?}", account.name);
            for (i, wanted) in wants {
                let found =
                    (self.tester.teams(account, i).await?.number, self.tester.policies(account, i).await?);
                ensure!(found == wanted, "{} has {found:?}, wanted is {wanted:?}", account.upn(i));
            }
        }
        Ok(())
    }

    /// Stops everything; `in_order` as at the end of a day, with a look at what is left behind.
    pub(super) async fn end(self, in_order: bool) -> Result<()> {
        let Self { tester, reader, worker, second, debouncer, .. } = self;
        reader.close().await;
        if !in_order {
            tester.abandon().await;
            return Ok(());
        }
        for role in [debouncer, worker, second].into_iter().flatten() {
            role.stop().await?;
        }
        tester.finish().await
    }
}

impl Customer {
    /// What each Microsoft user should have, by the domain's function.
    fn wants(&self) -> Result<BTreeMap<u32, Look>> {
        let rule: PolicyRule = serde_json::from_value(rule())?;
        let settings = AccountSettings { rules: vec![rule], ..AccountSettings::default() };
        let mut wants: BTreeMap<u32, Look> = (1..=USERS).map(|i| (i, Look::default())).collect();
        for (i, person) in self.people.iter().filter(|(_, person)| !person.deleted) {
            let Some(microsoft) = person.microsoft else { continue };
            let mapping = Mapping {
                user: self.account.user(*i),
                oid: self.account.oid(microsoft),
                service: Service::Voice,
                number: None,
            };
            wants.insert(microsoft, look(&wanted_user(&mapping, &person.profile, &settings)));
        }
        Ok(wants)
    }
}

fn look(wanted: &WantedUser) -> Look {
    let number = wanted.number.number().map(|number| number.as_str().to_owned());
    let policies = wanted.policies.iter().map(|(kind, name)| format!("{} {name}", kind.0)).collect();
    (number, policies)
}

fn fault(write: &str, trouble: Trouble, times: u8) -> Value {
    let action = match trouble {
        Trouble::LostRequest => json!({ "type": "drop", "when": "before" }),
        Trouble::LostReply => json!({ "type": "drop", "when": "after" }),
        Trouble::Unavailable => json!({ "type": "respond", "status": 503, "when": "before" }),
        Trouble::UnavailableAfterEffect => json!({ "type": "respond", "status": 503, "when": "after" }),
        Trouble::Throttled => json!({ "type": "throttle", "retryAfter": "1" }),
        Trouble::OperationFails => {
            json!({ "type": "operation", "status": "failed", "detail": "Service is unavailable" })
        }
    };
    json!({ "kind": write, "times": times, "action": action })
}
