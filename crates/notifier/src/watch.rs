//! Looks which accounts need a mail, and puts it into the outbox.

use serde_json::json;
use tandem_domain::AccountId;
use tandem_domain::mail::{Kind, is_incident, quarantine_day};
use tandem_domain::quarantine::Cause;
use tandem_domain::reminder::{Decision, Reminder, decide, quiet_until};
use tandem_letters::Failing;
use tandem_runtime::{Clock, Ctx, Ids};
use tandem_store::mail::notices::{self, Noted, Step};
use tandem_store::mail::outbox::{self, NewMail};
use tandem_store::mail::{accounts, people};
use tandem_store::{Store, StoreError, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::NotifierSettings;
use crate::metrics::Metrics;

/// Accounts looked at by one transaction.
const PAGE: i64 = 500;
/// Accounts that an incident mail names.
const NAMES: i32 = 10;
/// Records removed by one statement.
const PRUNE: i64 = 1000;

/// Looks which accounts need a mail. Any number of them work side by side.
#[derive(Clone, Debug)]
pub struct Watch {
    store: Store,
    clock: Clock,
    ids: Ids,
    settings: NotifierSettings,
    metrics: Metrics,
}

impl Watch {
    /// A watch over the database as `Login::Notifier`.
    #[must_use]
    pub fn new(ctx: &Ctx, store: Store, settings: NotifierSettings) -> Self {
        let metrics = Metrics::new(&ctx.meter);
        Self { store, clock: ctx.clock.clone(), ids: ctx.ids.stream("mail"), settings, metrics }
    }

    /// Looks at every account once; how many mails were made.
    ///
    /// # Errors
    /// [`StoreError`]; what was not made is made by the next look.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        // a row that one part cannot read keeps no mail of another part back
        let parts = [
            self.notices().await,
            self.quarantines().await,
            self.incidents().await,
            self.all_reminders().await,
        ];
        let now = self.clock.now();
        outbox::prune(&self.store, now - self.settings.keep, PRUNE).await?;
        parts.into_iter().sum()
    }

    /// Reminders of all accounts; how many were made.
    async fn all_reminders(&self) -> Result<usize, StoreError> {
        let (mut made, mut after) = (0, AccountId(Uuid::nil()));
        loop {
            let (last, page) = self.store.retrying(|| self.reminders(after)).await?;
            made += page;
            match last {
                Some(last) => after = last,
                None => return Ok(made),
            }
        }
    }

    /// Reminders of one page of accounts; the last account of the page, and how many were made.
    async fn reminders(&self, after: AccountId) -> Result<(Option<AccountId>, usize), StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.begin("mail.reminders").await?;
        let page = accounts::candidates(&mut tx, after, now, PAGE).await?;
        if page.is_empty() {
            return Ok((None, 0));
        }
        let stands = accounts::stand(&mut tx, &page, None, now).await?;
        let due = stands.iter().filter_map(|stands| {
            let calendar = stands.calendar.over(&self.settings.calendar);
            match decide(&stands.facts, stands.last.as_ref(), &calendar, now) {
                Decision::Send(reminder) => Some((stands.account, reminder, quiet_until(now, &calendar))),
                Decision::Rest | Decision::Wait(_) => None,
            }
        });
        let due: Vec<(AccountId, Reminder, OffsetDateTime)> = due.collect();
        let ids: Vec<AccountId> = due.iter().map(|(account, ..)| *account).collect();
        let addresses = people::addresses(&mut tx, &ids, now).await?;
        let mails = due.into_iter().zip(addresses).map(|((account, reminder, quiet_until), to)| NewMail {
            id: self.ids.v7(&self.clock),
            account: Some(account),
            kind: Kind::Reminder,
            period: reminder.day.to_string(),
            about: json!({ "reasons": reminder.reasons, "second_contact": reminder.second_contact }),
            quiet_until: Some(quiet_until),
            to: to.of(reminder.second_contact),
        });
        let mails: Vec<NewMail> = mails.collect();
        let made = self.put(tx, &mails, now).await?;
        Ok((page.last().copied(), made))
    }

    /// What happened to accounts that is told once.
    async fn notices(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.begin("mail.notices").await?;
        let steps = notices::steps(&mut tx, now, PAGE).await?;
        let of = |noted: &Noted| match noted.step {
            Step::Quarantine(cause) => (Kind::Quarantine, Some(cause)),
            Step::AutoSyncOn => (Kind::AutoSyncOn, None),
            Step::AutoSyncOff(cause) => (Kind::AutoSyncOff, cause),
        };
        let about = steps.iter().map(|noted| {
            let (kind, cause) = of(noted);
            (noted.account, kind, noted.id.to_string(), told(cause, noted.at, None))
        });
        let mails = self.addressed(&mut tx, about.collect(), now).await?;
        self.put(tx, &mails, now).await
    }

    /// Accounts that have been in quarantine for 1, 14 or 27 days.
    async fn quarantines(&self) -> Result<usize, StoreError> {
        let (now, mut made, mut after) = (self.clock.now(), 0, AccountId(Uuid::nil()));
        loop {
            let mut tx = self.store.begin("mail.quarantines").await?;
            let page = notices::quarantined(&mut tx, after, now, PAGE).await?;
            let Some(last) = page.last() else { return Ok(made) };
            after = last.account;
            let due = page.iter().filter_map(|quarantined| {
                let day = quarantine_day(quarantined.since, now)?;
                let period = format!("{} {day}", quarantined.since.unix_timestamp());
                let about = told(Some(quarantined.cause), quarantined.since, Some(day));
                Some((quarantined.account, Kind::QuarantineDay, period, about))
            });
            let mails = self.addressed(&mut tx, due.collect(), now).await?;
            made += self.put(tx, &mails, now).await?;
        }
    }

    /// What jobs of several accounts fail by, for the operators.
    async fn incidents(&self) -> Result<usize, StoreError> {
        if self.settings.operators.is_empty() {
            return Ok(0);
        }
        let now = self.clock.now();
        let mut tx = self.store.begin("mail.incidents").await?;
        let alike = notices::alike(&mut tx, now, self.settings.incident_accounts, NAMES).await?;
        let incidents = alike.into_iter().filter(|alike| is_incident(&alike.code));
        let mails: Vec<NewMail> = incidents
            .map(|alike| NewMail {
                id: self.ids.v7(&self.clock),
                account: None,
                kind: Kind::Incident,
                period: format!("{} {}", alike.fingerprint, self.settings.calendar.day(now)),
                about: json!(Failing {
                    since: self.settings.calendar.text(alike.since),
                    fingerprint: alike.fingerprint,
                    code: alike.code,
                    text: alike.text,
                    jobs: alike.jobs,
                    accounts: alike.accounts,
                    names: alike.names,
                }),
                quiet_until: None,
                to: self.settings.operators.clone(),
            })
            .collect();
        self.put(tx, &mails, now).await
    }

    /// Mails of accounts with their addresses.
    async fn addressed(
        &self,
        tx: &mut Tx,
        mails: Vec<(AccountId, Kind, String, serde_json::Value)>,
        now: OffsetDateTime,
    ) -> Result<Vec<NewMail>, StoreError> {
        let accounts: Vec<AccountId> = mails.iter().map(|(account, ..)| *account).collect();
        let addresses = people::addresses(tx, &accounts, now).await?;
        let new = mails.into_iter().zip(addresses).map(|((account, kind, period, about), to)| NewMail {
            id: self.ids.v7(&self.clock),
            account: Some(account),
            kind,
            period,
            about,
            quiet_until: None,
            to: to.of(false),
        });
        Ok(new.collect())
    }

    async fn put(&self, mut tx: Tx, mails: &[NewMail], now: OffsetDateTime) -> Result<usize, StoreError> {
        let made = outbox::put(&mut tx, mails, now).await?;
        tx.commit().await?;
        for mail in mails.iter().filter(|mail| made.contains(&mail.id)) {
            self.metrics.made(mail.kind, !mail.to.is_empty());
        }
        Ok(made.len())
    }
}

fn told(cause: Option<Cause>, at: OffsetDateTime, day: Option<i64>) -> serde_json::Value {
    json!({ "cause": cause.map(Cause::as_str), "at": at.unix_timestamp(), "day": day })
}
