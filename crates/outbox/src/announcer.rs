//! Builds announcements.

use serde_json::Value;
use tandem_domain::job::JobType;
use tandem_domain::{AccountId, Gen, JobId, PbxUserId};
use tandem_runtime::{Clock, Ctx, trace};
use tandem_store::outbox::Announcement;
use tandem_wire::headers::{EventType, cloud_event};
use tandem_wire::{Changed, Due, JobEvent, Subjects, WireError};
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
        let subject = self.subjects.changed(account.0);
        let chunks: Vec<&[PbxUserId]> =
            if users.is_empty() { vec![&[]] } else { users.chunks(tandem_wire::MAX_USERS).collect() };
        chunks
            .into_iter()
            .enumerate()
            .map(|(part, chunk)| {
                let message = Changed {
                    account: account.0,
                    generation,
                    users: chunk.iter().map(|user| user.0.clone()).collect(),
                    first_detected_at: first,
                    last_detected_at: last,
                };
                let id = format!("changed:{account}:{generation}:{part}");
                Ok(self.build(
                    EventType::Changed,
                    subject.clone(),
                    tandem_wire::encode_changed(&message)?,
                    &id,
                ))
            })
            .collect()
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
        Ok(self.build(EventType::Due, subject, tandem_wire::encode_due(&message)?, &format!("due:{job}")))
    }

    /// What happened to a job.
    ///
    /// # Errors
    /// [`WireError::TooBig`] when the data do not fit into a message.
    pub fn event(&self, event: &JobEvent) -> Result<Announcement, WireError> {
        let subject = self.subjects.event(event.account, event.job);
        let id = format!("event:{}:{}", event.job, event.number);
        Ok(self.build(EventType::JobEvent, subject, tandem_wire::encode_event(event)?, &id))
    }

    fn build(&self, kind: EventType, subject: String, payload: Vec<u8>, key: &str) -> Announcement {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{subject} {key}").as_bytes());
        let traceparent = trace::inject();
        let headers = cloud_event(kind, self.source, id, self.clock.now(), traceparent.as_deref());
        let headers: serde_json::Map<String, Value> =
            headers.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        Announcement { subject, headers: Value::Object(headers), payload, message_id: id.to_string() }
    }
}
