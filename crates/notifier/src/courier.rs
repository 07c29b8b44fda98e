//! Claims mails of the outbox, makes their words, and hands them over.
//!
//! The order is: claim, make the words, speak with the server up to the point where the words would leave, commit
//! `sending`, let them leave, commit the end. What is known not to have left is tried again; what may have arrived never is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tandem_domain::mail::{Outcome, retry};
use tandem_runtime::{BoxError, Clock, Ctx, Ids, chain, failpoint};
use tandem_store::mail::outbox::{self, Claimed};
use tandem_store::{Store, StoreError};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::carrier::{Carrier, CarrierError, Handed, Open};
use crate::compose::{Composed, compose};
use crate::metrics::Metrics;
use crate::{NotifierSettings, Parts, paper};

/// Mails claimed at once.
const BATCH: i64 = 20;
/// Longest wait before a mail server that was away is asked again.
const LONGEST_AWAY: Duration = Duration::from_secs(300);

/// What one look at the outbox did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Mails that were taken.
    pub sent: usize,
    /// Mails that ended otherwise, or wait for another try.
    pub others: usize,
    /// Why the mail server cannot be used.
    pub away: Option<String>,
}

/// When the mail server is asked again after it was away, and how long that was last.
#[derive(Debug, Default)]
struct Away {
    until: Option<Instant>,
    last: Duration,
    why: String,
}

/// Hands mails over. Any number of them work side by side.
#[derive(Debug)]
pub struct Courier {
    store: Store,
    carrier: Carrier,
    clock: Clock,
    ids: Ids,
    settings: NotifierSettings,
    metrics: Metrics,
    away: Mutex<Away>,
}

/// How one mail went.
enum Gone {
    Sent,
    Otherwise,
    Away(String),
}

impl Courier {
    /// A courier over the database as `Login::Notifier`.
    #[must_use]
    pub fn new(ctx: &Ctx, parts: &Parts, settings: NotifierSettings) -> Self {
        Self {
            store: parts.store.clone(),
            carrier: parts.carrier.clone(),
            clock: ctx.clock.clone(),
            ids: ctx.ids.stream("mail.claims"),
            settings,
            metrics: Metrics::new(&ctx.meter),
            away: Mutex::default(),
        }
    }

    /// Hands over what is due.
    ///
    /// # Errors
    /// [`StoreError`]; what was claimed is free again when its claim has lapsed.
    pub async fn round(&self, stop: &CancellationToken) -> Result<Round, StoreError> {
        let now = self.clock.now();
        self.metrics.lost(outbox::lost(&self.store, now).await?);
        let (waiting, oldest) = outbox::backlog(&self.store).await?;
        self.metrics.backlog(waiting, oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64()));
        let mut round = Round { away: self.still_away(), ..Round::default() };
        while round.away.is_none() && !stop.is_cancelled() {
            let claim = self.ids.v4();
            let batch =
                outbox::claim(&self.store, claim, self.clock.now(), BATCH, self.settings.claim).await?;
            if batch.is_empty() {
                break;
            }
            self.batch(&batch, stop, &mut round).await?;
        }
        Ok(round)
    }

    /// Hands over a batch through one connection.
    async fn batch(
        &self,
        batch: &[Claimed],
        stop: &CancellationToken,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let mut way: Option<Open<'_>> = None;
        for claimed in batch {
            if round.away.is_some() || stop.is_cancelled() {
                let why = round.away.as_deref().unwrap_or("the notifier stopped before its turn came");
                self.again(claimed, self.clock.now(), why, false).await?;
                continue;
            }
            if way.as_ref().is_some_and(|way| !way.usable()) {
                way = None;
            }
            match self.one(claimed, &mut way).await? {
                Gone::Sent => round.sent += 1,
                Gone::Otherwise => round.others += 1,
                Gone::Away(text) => {
                    round.others += 1;
                    round.away = Some(text);
                }
            }
        }
        if let Some(way) = way {
            way.close().await;
        }
        Ok(())
    }

    async fn one<'a>(&'a self, claimed: &Claimed, way: &mut Option<Open<'a>>) -> Result<Gone, StoreError> {
        let now = self.clock.now();
        if claimed.created_at + claimed.kind.life() < now {
            self.finish(claimed, Outcome::Expired, "out of date before the mail server took it", None)
                .await?;
            return Ok(Gone::Otherwise);
        }
        let (office, calendar) = (&self.settings.office, &self.settings.calendar);
        let composed = compose(&self.store, office, calendar, claimed, now).await;
        let (letter, link) = match composed {
            Ok(Composed::Letter(letter, link)) => (letter, link),
            Ok(Composed::NotNeeded) => {
                self.finish(claimed, Outcome::Superseded, "not needed any more", None).await?;
                return Ok(Gone::Otherwise);
            }
            Err(error) => return self.not_written(claimed, &error).await,
        };
        let mail =
            paper::write(&self.settings.sender, &claimed.to, &letter, (claimed.kind, claimed.mail), now);
        let mail = match mail {
            Ok(mail) => mail,
            Err(error) => return self.not_written(claimed, &error).await,
        };
        let handed = self.hand(claimed, &mail, way).await;
        if let Some(link) = link
            && !matches!(handed, Ok(Handed::Taken(_) | Handed::Unknown(_)))
        {
            // the next try has a link of its own
            tandem_consent::close_link(&self.store, &link).await?;
        }
        self.settle(claimed, handed, &mail.subject).await
    }

    async fn hand<'a>(
        &'a self,
        claimed: &Claimed,
        mail: &paper::Paper,
        way: &mut Option<Open<'a>>,
    ) -> Result<Handed, CarrierError> {
        let open = match way {
            Some(open) => open,
            None => way.insert(self.carrier.open().await?),
        };
        let leave = async || {
            let now = self.clock.now();
            failpoint::hit("mail.before_hand");
            let handed = outbox::hand(&self.store, claimed, now, self.settings.claim).await;
            handed.map_err(|error| chain(&error))
        };
        let handed = open.hand(self.settings.sender.bounce(), &claimed.to, mail, leave).await;
        failpoint::hit("mail.after_250_before_mark");
        handed
    }

    /// Keeps how it went.
    async fn settle(
        &self,
        claimed: &Claimed,
        handed: Result<Handed, CarrierError>,
        subject: &str,
    ) -> Result<Gone, StoreError> {
        match handed {
            Ok(Handed::Taken(text)) => {
                self.back();
                self.finish(claimed, Outcome::Sent, &text, Some(subject)).await?;
                tracing::info!(mail = %claimed.mail, kind = %claimed.kind, "mail sent");
                Ok(Gone::Sent)
            }
            Ok(Handed::Unknown(text)) => {
                tracing::warn!(mail = %claimed.mail, kind = %claimed.kind, said = text, "mail perhaps sent");
                self.finish(claimed, Outcome::Unknown, &text, Some(subject)).await?;
                Ok(Gone::Otherwise)
            }
            Ok(Handed::Refused(text)) => {
                self.back();
                tracing::warn!(mail = %claimed.mail, kind = %claimed.kind, said = text, "mail refused");
                self.finish(claimed, Outcome::Refused, &text, Some(subject)).await?;
                Ok(Gone::Otherwise)
            }
            Ok(Handed::Later(text)) => {
                self.back();
                let at = self.clock.now() + retry(claimed.tries + 1);
                self.again(claimed, at, &text, true).await?;
                Ok(Gone::Otherwise)
            }
            // the claim lapsed, or a newer mail took the place of this one
            Ok(Handed::Stopped) => Ok(Gone::Otherwise),
            Err(error) => {
                let text = error.to_string();
                tracing::warn!(error = text, "mail waits");
                self.again(claimed, self.clock.now(), &text, false).await?;
                self.go_away(&text);
                Ok(Gone::Away(text))
            }
        }
    }

    async fn finish(
        &self,
        claimed: &Claimed,
        outcome: Outcome,
        reply: &str,
        subject: Option<&str>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tries = 0;
        // the mail may have left: a database that is away for a moment should not make that unknown
        while let Err(error) = outbox::finish(&self.store, claimed, outcome, reply, subject, now).await {
            tries += 1;
            if tries == 5 || !error.retryable() {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(200 << tries)).await;
        }
        self.metrics.ended(claimed.kind, outcome);
        Ok(())
    }

    async fn again(
        &self,
        claimed: &Claimed,
        at: OffsetDateTime,
        reply: &str,
        tried: bool,
    ) -> Result<(), StoreError> {
        if tried {
            self.metrics.retried(claimed.kind);
        }
        outbox::again(&self.store, claimed, at, reply, tried).await
    }

    /// The words could not be made; another try may find what is missing.
    async fn not_written(&self, claimed: &Claimed, error: &BoxError) -> Result<Gone, StoreError> {
        let text = chain(error.as_ref());
        tracing::warn!(mail = %claimed.mail, kind = %claimed.kind, error = text, "mail could not be written");
        self.again(claimed, self.clock.now() + retry(claimed.tries + 1), &text, true).await?;
        Ok(Gone::Otherwise)
    }

    fn still_away(&self) -> Option<String> {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.until.filter(|until| Instant::now() < *until).map(|_| away.why.clone())
    }

    fn go_away(&self, why: &str) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.last = (away.last * 2).clamp(self.settings.tick, LONGEST_AWAY);
        away.until = Some(Instant::now() + away.last);
        why.clone_into(&mut away.why);
    }

    fn back(&self) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Away::default();
    }
}
