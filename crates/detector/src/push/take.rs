//! Takes a message: effect, announcement and receipt in one transaction.

use std::time::Duration;

use tandem_domain::window::Timing;
use tandem_domain::{AccountId, PbxUserId};
use tandem_store::change::{NewChange, Recorded};
use tandem_store::pbx::push::{self, Answer, Facts};
use tandem_store::pbx::{deletions, profiles};
use tandem_store::{StoreError, Tx};
use time::OffsetDateTime;

use crate::PUSH_SOURCE;
use crate::announce::{SaveError, carry_out, tell};
use crate::changes::{self, Edit, Judged, Times};
use crate::push::App;

/// Rows of one statement.
const CHUNK: usize = 500;
/// Tries of a transaction that loses a race.
const TRIES: u32 = 3;

/// What a message asks for.
#[derive(Debug)]
pub(crate) enum Effect {
    Upsert(Vec<Edit>),
    Delete(PbxUserId),
}

/// A message whose signature was right.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) account: AccountId,
    pub(crate) webhook_id: String,
    /// Tells a repeated message from another one under the same id: method, user and digest of the body.
    pub(crate) tag: Vec<u8>,
    pub(crate) times: Times,
    pub(crate) effect: Effect,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    #[error("take a push message")]
    Save(#[from] SaveError),
    /// The id was used for another message.
    #[error("the webhook-id was used before")]
    Reused,
    /// The account was removed a moment ago.
    #[error("the account is gone")]
    Gone,
}

impl From<StoreError> for TakeError {
    fn from(error: StoreError) -> Self {
        Self::Save(error.into())
    }
}

impl App {
    /// Takes a message, again when its transaction loses a race.
    pub(crate) async fn take(&self, message: &Message) -> Result<Answer, TakeError> {
        let _lane = self.lanes.enter(message.account).await;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_take(message).await {
                Err(TakeError::Save(SaveError::Store(StoreError::Conflict { .. }))) if tries < TRIES => {}
                other => return other,
            }
        }
    }

    async fn try_take(&self, message: &Message) -> Result<Answer, TakeError> {
        let mut tx = self.store.begin("detector.push").await?;
        if profiles::lock(&mut tx, &[message.account.0]).await?.is_empty() {
            return Err(TakeError::Gone);
        }
        let judged = judge(&mut tx, message).await?;
        let users: Vec<&str> = judged.iter().flat_map(|j| &j.changes).filter_map(user_of).collect();
        let deleting = match &message.effect {
            Effect::Upsert(_) => None,
            Effect::Delete(user) => Some(user),
        };
        let asked: Vec<&str> = users.into_iter().chain(deleting.map(PbxUserId::as_str)).collect();
        let facts = push::facts(&mut tx, message.account, &message.webhook_id, &asked).await?;
        let facts = facts.ok_or(TakeError::Gone)?;
        if let Some((tag, answer)) = facts.receipt {
            return if tag == message.tag { Ok(answer) } else { Err(TakeError::Reused) };
        }
        let mut done = Done::default();
        for judged in &judged {
            done.add(&carry_out(&mut tx, &self.announcer, PUSH_SOURCE, judged).await?);
        }
        if let Some(user) = deleting {
            done.add(&self.delete(&mut tx, message, user).await?);
        }
        let answer = answer(&facts, done, message.times.detected_at, self.timing, self.after_due);
        push::keep_receipt(&mut tx, message.account, &message.webhook_id, &message.tag, &answer).await?;
        tx.commit().await?;
        if done.changed > 0 {
            self.bell.ring();
            self.metrics.accepted(PUSH_SOURCE, done.changed);
        }
        Ok(answer)
    }

    async fn delete(
        &self,
        tx: &mut Tx,
        message: &Message,
        user: &PbxUserId,
    ) -> Result<Vec<Recorded>, SaveError> {
        let gone = deletions::delete_now(tx, PUSH_SOURCE, message.account, user).await?;
        let told: Vec<NewChange> = gone
            .into_iter()
            .map(|gone| changes::deleted(message.account, gone.user, &gone.profile, message.times))
            .collect();
        tell(tx, &self.announcer, PUSH_SOURCE, &told).await
    }
}

async fn judge<'m>(tx: &mut Tx, message: &'m Message) -> Result<Vec<Judged<'m>>, StoreError> {
    let Effect::Upsert(edits) = &message.effect else { return Ok(Vec::new()) };
    let mut judged = Vec::with_capacity(edits.len().div_ceil(CHUNK));
    for edits in edits.chunks(CHUNK) {
        let probes: Vec<_> = edits.iter().map(Edit::probe).collect();
        let stored = profiles::compare(tx, &probes, None).await?;
        judged.push(changes::judge(edits, stored, message.times));
    }
    Ok(judged)
}

fn user_of(change: &NewChange) -> Option<&str> {
    change.user.as_ref().map(PbxUserId::as_str)
}

#[derive(Clone, Copy, Debug, Default)]
struct Done {
    changed: u64,
    generation: Option<i64>,
}

impl Done {
    fn add(&mut self, recorded: &[Recorded]) {
        for of in recorded {
            self.changed += u64::try_from(of.changes).unwrap_or(0);
            self.generation = Some(of.generation);
        }
    }
}

/// When the change will have its job, as far as that is known now.
fn answer(facts: &Facts, done: Done, now: OffsetDateTime, timing: Timing, after_due: Duration) -> Answer {
    let waiting = if done.changed == 0 {
        Some("unchanged")
    } else if !facts.auto_sync {
        Some("auto_sync_off")
    } else if facts.paused {
        Some("paused")
    } else if !facts.mapped {
        Some("not_mapped")
    } else {
        None
    };
    let own = |ms: Option<i32>, default| ms.map_or(default, |ms| time::Duration::milliseconds(ms.into()));
    let timing = Timing {
        quiet: own(facts.quiet_ms, timing.quiet),
        max_wait: own(facts.max_wait_ms, timing.max_wait),
    };
    let due_at = waiting.is_none().then(|| timing.due_at(facts.first_change_at.unwrap_or(now), now));
    Answer {
        generation: done.generation.unwrap_or(facts.generation),
        changed: i32::try_from(done.changed).unwrap_or(i32::MAX),
        due_at,
        starts_by: due_at.map(|due| due + after_due),
        waiting: waiting.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            generation: 4,
            auto_sync: true,
            paused: false,
            quiet_ms: None,
            max_wait_ms: None,
            first_change_at: None,
            mapped: true,
            receipt: None,
        }
    }

    #[test]
    fn the_answer_says_when_or_why_not() {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::hours(1);
        let done = Done { changed: 2, generation: Some(6) };
        let of = |facts: &Facts, done| answer(facts, done, now, Timing::DEFAULT, Duration::from_secs(240));

        let plain = of(&facts(), done);
        assert_eq!((plain.generation, plain.changed), (6, 2));
        assert_eq!(plain.due_at, Some(now + time::Duration::seconds(60)));
        assert_eq!(plain.starts_by, Some(now + time::Duration::seconds(300)));

        // an open window ends at its longest wait, and an account may have its own times
        let open = Facts { first_change_at: Some(now - time::Duration::seconds(200)), ..facts() };
        assert_eq!(of(&open, done).due_at, Some(now + time::Duration::seconds(40)));
        let own = Facts { quiet_ms: Some(500), ..facts() };
        assert_eq!(of(&own, done).due_at, Some(now + time::Duration::milliseconds(500)));

        let waits = |facts: Facts, done| of(&facts, done).waiting.unwrap_or_default();
        assert_eq!(waits(Facts { auto_sync: false, ..facts() }, done), "auto_sync_off");
        assert_eq!(waits(Facts { paused: true, ..facts() }, done), "paused");
        assert_eq!(waits(Facts { mapped: false, ..facts() }, done), "not_mapped");
        let nothing = of(&facts(), Done::default());
        assert_eq!((nothing.generation, nothing.due_at, nothing.starts_by), (4, None, None));
        assert_eq!(nothing.waiting.as_deref(), Some("unchanged"));
    }
}
