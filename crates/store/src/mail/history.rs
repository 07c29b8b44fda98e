//! Mails as people see them.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::AccountId;
use tandem_domain::mail::{Kind, Outcome};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Mails of an account, newest first, each with its addresses.
    HISTORY = "select m.mail_id, m.kind, m.period, m.subject, m.created_at, d.address, d.outcome, d.tries, d.handed_at, d.ended_at, d.next_try, d.reply
                 from (select * from mail.mails where account_id = $1 order by created_at desc, mail_id limit $2) m
                 left join mail.deliveries d using (mail_id) order by m.created_at desc, m.mail_id, d.address";
    /// Test mails of an account that were asked for lately.
    TESTS = "select count(*) from mail.mails where account_id = $1 and kind = 'test' and created_at > $2::timestamptz - interval '1 hour'";
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its id.
    pub id: Uuid,
    /// What about.
    pub kind: Kind,
    /// Its period.
    pub period: String,
    /// What it was called, once it was handed over.
    pub subject: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// To whom, and what became of it; empty where nobody is to be written to.
    pub deliveries: Vec<Delivery>,
}

/// A mail to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// To whom.
    pub address: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Tries.
    pub tries: i32,
    /// When it was handed over, or given up.
    pub at: Option<OffsetDateTime>,
    /// When it is tried next, while it waits.
    pub next_try: Option<OffsetDateTime>,
    /// What the mail server said.
    pub reply: Option<String>,
}

/// Mails of an account, newest first, `most` at most.
///
/// # Errors
/// [`StoreError`].
pub async fn mails(tx: &mut Tx, account: AccountId, most: i64) -> Result<Vec<Mail>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let query = sqlx::query(HISTORY).bind(account.0).bind(most);
    let rows = query.fetch_all(&mut **tx).await.map_err(failed)?;
    let odd = |column| StoreError::Inconsistent { work, column };
    let mut mails: Vec<Mail> = Vec::new();
    for row in &rows {
        let id: Uuid = row.get("mail_id");
        if mails.last().is_none_or(|mail| mail.id != id) {
            mails.push(Mail {
                id,
                kind: Kind::parse(row.get("kind")).ok_or_else(|| odd("mail.mails.kind"))?,
                period: row.get("period"),
                subject: row.get("subject"),
                created_at: row.get("created_at"),
                deliveries: Vec::new(),
            });
        }
        if let (Some(mail), Some(delivery)) = (mails.last_mut(), delivery(row).map_err(odd)?) {
            mail.deliveries.push(delivery);
        }
    }
    Ok(mails)
}

fn delivery(row: &PgRow) -> Result<Option<Delivery>, &'static str> {
    let Some(address) = row.get::<Option<String>, _>("address") else { return Ok(None) };
    let outcome = Outcome::parse(row.get("outcome")).ok_or("mail.deliveries.outcome")?;
    let at = row.get::<Option<_>, _>("ended_at").or(row.get("handed_at"));
    Ok(Some(Delivery {
        address,
        outcome,
        tries: row.get("tries"),
        at,
        next_try: (outcome == Outcome::Waiting).then(|| row.get("next_try")),
        reply: row.get("reply"),
    }))
}

/// How many test mails of an account were asked for within the hour.
///
/// # Errors
/// [`StoreError`].
pub async fn tests(tx: &mut Tx, account: AccountId, now: OffsetDateTime) -> Result<i64, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query_scalar(TESTS).bind(account.0).bind(now);
    query.fetch_one(&mut **tx).await.map_err(failed)
}
