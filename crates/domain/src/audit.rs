//! The chain of audit records: each record's hash covers the record and the hash before it, so that changing, dropping
//! or moving one shows in every record behind it. What was cut off at the end shows in the head that is kept apart.

use aws_lc_rs::digest;
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::AccountId;

/// Hash of a record, and of the chain up to it.
pub type Hash = [u8; 32];

/// What precedes the first record.
pub const GENESIS: Hash = [0; 32];

/// The chain of what concerns no account: signing in, signing out, refusals before an account is known.
pub const PROVIDER: AccountId = AccountId(Uuid::nil());

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Whose chain.
    #[serde(rename = "account_id")]
    pub account: AccountId,
    /// Its place in the chain, from 1.
    pub number: i64,
    /// When, to the microsecond.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Id of the person, where one is known.
    #[serde(rename = "person_id")]
    pub person: Option<Uuid>,
    /// Name of the person at that time.
    pub name: String,
    /// What was done.
    pub act: String,
    /// `allowed` or `refused`.
    pub outcome: String,
    /// With what: a job, a request, a user.
    pub subject: String,
    /// Why, in the person's own words or ours.
    pub reason: String,
}

impl Record {
    /// The hash of this record behind `before`. Every part is preceded by its length, so no two records are alike.
    #[must_use]
    pub fn hash(&self, before: &Hash) -> Hash {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        part(before);
        part(self.account.0.as_bytes());
        part(&self.number.to_be_bytes());
        part(&(self.at.unix_timestamp_nanos() / 1000).to_be_bytes());
        part(self.person.as_ref().map_or(&[][..], |person| person.as_bytes()));
        for text in [&self.name, &self.act, &self.outcome, &self.subject, &self.reason] {
            part(text.as_bytes());
        }
        let mut hash = GENESIS;
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A record is missing, moved or there twice.
    #[error("record {found} stands where record {expected} should")]
    Order {
        /// The number that should come.
        expected: i64,
        /// The number that came.
        found: i64,
    },
    /// A record, or one before it, is not what was written.
    #[error("record {number} is not what was written")]
    Hash {
        /// Its number.
        number: i64,
    },
    /// The chain ends elsewhere than its head says.
    #[error("the chain ends with record {found}, its head says {expected}")]
    Tail {
        /// The number that the head names.
        expected: i64,
        /// The last number there is.
        found: i64,
    },
}

/// Follows a chain, record by record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Follower {
    number: i64,
    hash: Hash,
}

impl Follower {
    /// The next record with the hash that is kept of it.
    ///
    /// # Errors
    /// [`Broken`], naming the place.
    pub fn follow(&mut self, record: &Record, kept: &[u8]) -> Result<(), Broken> {
        let expected = self.number + 1;
        if record.number != expected {
            return Err(Broken::Order { expected, found: record.number });
        }
        let hash = record.hash(&self.hash);
        if hash != kept {
            return Err(Broken::Hash { number: record.number });
        }
        (self.number, self.hash) = (expected, hash);
        Ok(())
    }

    /// The end, compared with the head; how many records there are.
    ///
    /// # Errors
    /// [`Broken`]
    pub fn end(&self, number: i64, hash: &[u8]) -> Result<i64, Broken> {
        if self.number != number {
            return Err(Broken::Tail { expected: number, found: self.number });
        }
        if self.hash != hash {
            return Err(Broken::Hash { number });
        }
        Ok(self.number)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn chain(length: i64) -> (Vec<(Record, Hash)>, Hash) {
        let mut before = GENESIS;
        let records = (1..=length).map(|number| {
            let record = Record {
                account: AccountId(Uuid::from_u128(7)),
                number,
                at: datetime!(2026-03-01 12:00 UTC) + time::Duration::seconds(number),
                person: Some(Uuid::from_u128(9)),
                name: "Olga Operator".into(),
                act: "enter_account".into(),
                outcome: "allowed".into(),
                subject: String::new(),
                reason: format!("ticket {number}"),
            };
            before = record.hash(&before);
            (record, before)
        });
        (records.collect(), before)
    }

    fn verify(records: &[(Record, Hash)], number: i64, head: Hash) -> Result<i64, Broken> {
        let mut follower = Follower::default();
        for (record, hash) in records {
            follower.follow(record, hash)?;
        }
        follower.end(number, &head)
    }

    #[test]
    fn i29_a_byte_a_gap_another_order_and_a_cut_tail_are_named() {
        let (records, head) = chain(5);
        assert_eq!(verify(&records, 5, head), Ok(5));
        let mut flipped = records.clone();
        flipped[2].0.reason = "ticket 4".into();
        assert_eq!(verify(&flipped, 5, head), Err(Broken::Hash { number: 3 }));
        let mut dropped = records.clone();
        dropped.remove(1);
        assert_eq!(verify(&dropped, 5, head), Err(Broken::Order { expected: 2, found: 3 }));
        let mut moved = records.clone();
        moved.swap(1, 2);
        assert_eq!(verify(&moved, 5, head), Err(Broken::Order { expected: 2, found: 3 }));
        assert_eq!(verify(&records[..4], 5, head), Err(Broken::Tail { expected: 5, found: 4 }));
        // whoever renumbers has to change the hashes, too
        moved[1].0.number = 2;
        assert_eq!(verify(&moved, 5, head), Err(Broken::Hash { number: 2 }));
        assert_eq!(verify(&records, 5, GENESIS), Err(Broken::Hash { number: 5 }));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let (records, _) = chain(1);
        let mut other = records[0].0.clone();
        (other.act, other.outcome) = ("enter_accountallowed".into(), String::new());
        assert_ne!(other.hash(&GENESIS), records[0].1);
    }
}
