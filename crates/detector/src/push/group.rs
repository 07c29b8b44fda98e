//! The transaction of a group of messages, each of another account.

use std::collections::BTreeMap;
use std::time::Duration;

use tandem_domain::window::Timing;
use tandem_domain::{AccountId, PbxUserId};
use tandem_store::change::{NewChange, Recorded};
use tandem_store::pbx::push::{self, Answer, Asked, Facts, Receipt};
use tandem_store::pbx::{deletions, profiles};
use tandem_store::{StoreError, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::PUSH_SOURCE;
use crate::announce::{CHUNK, SaveError, Spans, carry_out};
use crate::changes::{self, Edit, Judged};
use crate::push::App;
use crate::push::take::{Effect, Message, TakeError, Taken};

impl App {
    /// Takes the messages together: all that have an effect, or none.
    pub(crate) async fn try_take(&self, messages: &[Message]) -> Result<Vec<Taken>, SaveError> {
        let mut tx = self.store.begin("detector.push").await?;
        let accounts: Vec<Uuid> = messages.iter().map(|message| message.account.0).collect();
        profiles::lock(&mut tx, &accounts).await?;
        let mut judged = judge(&mut tx, messages).await?;
        let asked: Vec<Asked<'_>> =
            messages.iter().zip(&judged).map(|(message, judged)| asked(message, judged)).collect();
        let facts = push::facts(&mut tx, &asked).await?;
        let mut effects = Judged::default();
        let mut fresh: Vec<(usize, &Message, Facts)> = Vec::new();
        let mut taken: Vec<Option<Taken>> = Vec::with_capacity(messages.len());
        for (at, (message, facts)) in messages.iter().zip(facts).enumerate() {
            let known = known(message, facts.as_ref());
            if let (None, Some(facts)) = (&known, facts) {
                effects.append(&mut judged[at]);
                if let Effect::Delete(user) = &message.effect {
                    effects.changes.extend(delete(&mut tx, message, user).await?);
                }
                fresh.push((at, message, facts));
            }
            taken.push(known);
        }
        let spans: Spans =
            fresh.iter().map(|(_, message, _)| (message.account, message.span.clone())).collect();
        let recorded = carry_out(&mut tx, &self.announcer, PUSH_SOURCE, &effects, &spans).await?;
        let done = Done::by_account(&recorded);
        let mut receipts = Vec::with_capacity(fresh.len());
        for (at, message, facts) in &fresh {
            let done = done.get(&message.account).copied().unwrap_or_default();
            let answer = answer(facts, done, message.times.detected_at, self.timing, self.after_due);
            taken[*at] = Some(Ok(answer.clone()));
            let (account, webhook_id, tag) = (message.account, &message.webhook_id, &message.tag);
            receipts.push(Receipt { account, webhook_id, tag, answer });
        }
        push::keep_receipts(&mut tx, &receipts).await?;
        tx.commit().await?;
        if !recorded.is_empty() {
            self.bell.ring();
            self.metrics.accepted(PUSH_SOURCE, effects.changes.len() as u64);
        }
        Ok(taken.into_iter().map(|taken| taken.unwrap_or(Err(TakeError::Gone))).collect())
    }
}

/// Compares the profiles of all messages with what is stored, and judges those of each.
async fn judge<'m>(tx: &mut Tx, messages: &'m [Message]) -> Result<Vec<Judged<'m>>, StoreError> {
    let probes: Vec<_> = messages.iter().flat_map(edits_of).map(Edit::probe).collect();
    let mut stored = Vec::with_capacity(probes.len());
    for probes in probes.chunks(CHUNK) {
        stored.extend(profiles::compare(tx, probes, None).await?);
    }
    let mut stored = stored.into_iter();
    let judge = |message: &'m Message| {
        let edits = edits_of(message);
        changes::judge(edits, stored.by_ref().take(edits.len()), message.times)
    };
    Ok(messages.iter().map(judge).collect())
}

fn edits_of(message: &Message) -> &[Edit] {
    match &message.effect {
        Effect::Upsert(edits) => edits,
        Effect::Delete(_) => &[],
    }
}

fn asked<'m>(message: &'m Message, judged: &'m Judged<'_>) -> Asked<'m> {
    let changed = judged.changes.iter().filter_map(|change| change.user.as_ref());
    let deleted = match &message.effect {
        Effect::Upsert(_) => None,
        Effect::Delete(user) => Some(user),
    };
    let users = changed.chain(deleted).map(PbxUserId::as_str).collect();
    Asked { account: message.account, webhook_id: &message.webhook_id, users }
}

/// What a message came to that has no effect now; `None` when it has.
fn known(message: &Message, facts: Option<&Facts>) -> Option<Taken> {
    let Some(facts) = facts else { return Some(Err(TakeError::Gone)) };
    let (tag, answer) = facts.receipt.as_ref()?;
    Some(if *tag == message.tag { Ok(answer.clone()) } else { Err(TakeError::Reused) })
}

async fn delete(tx: &mut Tx, message: &Message, user: &PbxUserId) -> Result<Option<NewChange>, StoreError> {
    let gone = deletions::delete_now(tx, PUSH_SOURCE, message.account, user).await?;
    Ok(gone.map(|gone| changes::deleted(message.account, gone.user, &gone.profile, message.times)))
}

#[derive(Clone, Copy, Debug, Default)]
struct Done {
    changed: u64,
    generation: Option<i64>,
}

impl Done {
    fn by_account(recorded: &[Recorded]) -> BTreeMap<AccountId, Self> {
        let mut all: BTreeMap<AccountId, Self> = BTreeMap::new();
        for of in recorded {
            let done = all.entry(of.account).or_default();
            done.changed += u64::try_from(of.changes).unwrap_or(0);
            done.generation = Some(of.generation);
        }
        all
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
