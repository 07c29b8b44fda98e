//! Builds announcements.

use serde_json::Value;
use tandem_domain::job::JobType;
use tandem_domain::{AccountId, Gen, JobId, PbxUserId};
use tandem_runtime::{Clock, Ctx, trace};
use tandem_store::outbox::Announcement;
use tandem_wire::headers::{EventType, cloud_event};
use tandem_wire::{Changed, Due, JobEvent, MAX_ACCOUNTS, MAX_USERS, Subjects, WireError};
use time::OffsetDateTime;
use uuid::Uuid;

/// Builds the announcements of one role. Message ids are deterministic, so that the broker drops a second copy of
/// the same announcement within its window.
#[derive(Clone, Debug)]
pub struct Announcer {
    subjects: Subjects,
    source: &'static str,
    clock: Clock,
}

impl Announcer {
    /// `source` is the role, as CloudEvents' `source`.
    #[must_use]
    pub fn new(subjects: Subjects, source: &'static str, ctx: &Ctx) -> Self {
        Self { subjects, source, clock: ctx.clock.clone() }
    }

    /// "This account is now at this generation", with the users, at most 500 a message.
    ///
    /// # Errors
    /// [`WireError`] when a user key is too long for a message.
    pub fn changed(
        &self,
        account: AccountId,
        generation: Gen,
        users: &[PbxUserId],
        first: OffsetDateTime,
        last: OffsetDateTime,
    ) -> Result<Vec<Announcement>, WireError> {
        let changed = Changed {
            account: account.0,
            generation,
            users: users.iter().map(|user| user.0.clone()).collect(),
            first_detected_at: first,
            last_detected_at: last,
            traceparent: trace::inject(),
        };
        self.changed_together(vec![changed])
    }

    /// The same of accounts whose changes were recorded together, as many to a message as it may tell of.
    ///
    /// # Errors
    /// [`WireError`] when a user key is too long for a message.
    pub fn changed_together(&self, all: Vec<Changed>) -> Result<Vec<Announcement>, WireError> {
        packed(all).iter().enumerate().map(|(part, together)| self.message(part, together)).collect()
    }

    /// The first account's generation was raised for these changes alone, so with the place of the message it is a name
    /// for it.
    fn message(&self, part: usize, together: &[Changed]) -> Result<Announcement, WireError> {
        let [first, others @ ..] = together else { return Err(WireError::Missing { field: "account" }) };
        let subject = match others {
            [] => self.subjects.changed(first.account),
            _ => self.subjects.changed_several(),
        };
        let id = format!("changed:{}:{}:{part}", first.account, first.generation);
        let payload = tandem_wire::encode_changed(first, others)?;
        Ok(self.build(EventType::Changed, subject, payload, &id, first.traceparent.as_deref()))
    }

    /// "A job waits."
    ///
    /// # Errors
    /// None in practice: ids always fit a message.
    pub fn due(&self, account: AccountId, job: JobId, job_type: JobType) -> Result<Announcement, WireError> {
        let message = Due { account: account.0, job: job.0, job_type: job_type.as_str().to_owned() };
        let subject = self
            .subjects
            .due(job_type.as_str(), account.0)
            .map_err(|_| WireError::Missing { field: "job_type" })?;
        let payload = tandem_wire::encode_due(&message)?;
        Ok(self.build(EventType::Due, subject, payload, &format!("due:{job}"), trace::inject().as_deref()))
    }

    /// What happened to a job.
    ///
    /// # Errors
    /// [`WireError::TooBig`] when the data do not fit into a message.
    pub fn event(&self, event: &JobEvent) -> Result<Announcement, WireError> {
        let subject = self.subjects.event(event.account, event.job);
        let id = format!("event:{}:{}", event.job, event.number);
        let payload = tandem_wire::encode_event(event)?;
        Ok(self.build(EventType::JobEvent, subject, payload, &id, trace::inject().as_deref()))
    }

    fn build(
        &self,
        kind: EventType,
        subject: String,
        payload: Vec<u8>,
        key: &str,
        traceparent: Option<&str>,
    ) -> Announcement {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{subject} {key}").as_bytes());
        let headers = cloud_event(kind, self.source, id, self.clock.now(), traceparent);
        let headers: serde_json::Map<String, Value> =
            headers.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        Announcement { subject, headers: Value::Object(headers), payload, message_id: id.to_string() }
    }
}

/// Puts changes into messages in their order, each within what a message may tell of.
fn packed(all: Vec<Changed>) -> Vec<Vec<Changed>> {
    let mut messages: Vec<Vec<Changed>> = Vec::new();
    let mut room = 0;
    for part in all.into_iter().flat_map(parts) {
        match messages.last_mut() {
            Some(last) if part.users.len() <= room && last.len() < MAX_ACCOUNTS => {
                room -= part.users.len();
                last.push(part);
            }
            _ => {
                room = MAX_USERS.saturating_sub(part.users.len());
                messages.push(vec![part]);
            }
        }
    }
    messages
}

/// The changes of one account, at most as many users to a part as a message may name.
fn parts(mut of: Changed) -> Vec<Changed> {
    let mut parts = Vec::new();
    while of.users.len() > MAX_USERS {
        let users = of.users.split_off(MAX_USERS);
        parts.push(of.clone());
        of.users = users;
    }
    parts.push(of);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(account: u128, users: usize) -> Changed {
        Changed {
            account: Uuid::from_u128(account),
            generation: 1,
            users: (0..users).map(|user| user.to_string()).collect(),
            first_detected_at: OffsetDateTime::UNIX_EPOCH,
            last_detected_at: OffsetDateTime::UNIX_EPOCH,
            traceparent: None,
        }
    }

    /// Users of each account, message by message.
    fn sizes(all: Vec<Changed>) -> Vec<Vec<usize>> {
        packed(all).iter().map(|message| message.iter().map(|of| of.users.len()).collect()).collect()
    }

    #[test]
    fn messages_are_filled_and_never_overfilled() {
        assert_eq!(sizes(vec![changed(1, 0)]), [[0]]);
        let mixed = vec![changed(1, 300), changed(2, 200), changed(3, 0), changed(4, 1)];
        assert_eq!(sizes(mixed), [vec![300, 200, 0], vec![1]]);
        assert_eq!(sizes(vec![changed(1, 1_100), changed(2, 400)]), [vec![500], vec![500], vec![100, 400]]);
        let many: Vec<Changed> = (0..450).map(|account| changed(account, 1)).collect();
        assert_eq!(sizes(many).iter().map(Vec::len).collect::<Vec<_>>(), [200, 200, 50]);
        assert!(sizes(vec![]).is_empty());
    }

    #[test]
    fn no_user_is_lost_on_the_way() {
        let mut names: Vec<String> =
            packed(vec![changed(1, 1_234)]).into_iter().flatten().flat_map(|of| of.users).collect();
        names.sort_unstable_by_key(|name| name.parse::<usize>().unwrap_or(usize::MAX));
        assert_eq!(names, changed(1, 1_234).users);
    }
}
