//! The outbox of mail. A mail is made once per account, kind and period; each address has a delivery of its own.
//!
//! A delivery is claimed, then marked as handed over before its last words leave, then ended: docs/adr/0025.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::AccountId;
use tandem_domain::mail::{Address, Kind, Outcome};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{Store, StoreError, Tx};

statements! {
    /// Makes mails that were not made yet, with their deliveries. A mail without an address is kept, so that it is seen.
    PUT = "with made as (
             insert into mail.mails (mail_id, account_id, kind, period, about, quiet_until, created_at)
             select * , $7::timestamptz from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::json[], $6::timestamptz[])
             on conflict (account_id, kind, period) do nothing
             returning mail_id, account_id
           ), addressed as (
             insert into mail.deliveries (mail_id, account_id, address, next_try)
             select m.mail_id, m.account_id, t.address, $7 from unnest($8::uuid[], $9::text[]) as t (mail_id, address) join made m using (mail_id)
           )
           select mail_id from made";
    /// Reminders of accounts that were not handed over yet; a newer one is there, or they are not needed.
    SUPERSEDE = "update mail.deliveries d set outcome = 'superseded', ended_at = $2, claim = null, claimed_until = null
                   from mail.mails m where m.mail_id = d.mail_id and m.kind = 'reminder' and m.account_id = any ($1)
                    and m.mail_id <> all ($3) and d.outcome = 'waiting'";
    /// Mails that nobody got and nobody will: as if they had not been made, so that their day may have another.
    FORGET = "delete from mail.mails m where m.kind = 'reminder' and m.account_id = any ($1) and m.mail_id <> all ($2)
                 and m.created_at > $3::timestamptz - interval '30 days'
                 and not exists (select from mail.deliveries d where d.mail_id = m.mail_id and d.outcome <> 'superseded')
                 and exists (select from mail.deliveries d where d.mail_id = m.mail_id)";
    /// Claims deliveries that are due, the oldest first. A claim that lapsed before anything left is free again.
    CLAIM = "with due as (
               select d.mail_id, d.address from mail.deliveries d
                where d.outcome = 'waiting' and d.next_try <= $1 and (d.claimed_until is null or d.claimed_until < clock_timestamp())
                order by d.next_try limit $2 for update skip locked
             )
             update mail.deliveries d set claim = $3, claimed_until = clock_timestamp() + $4
               from due, mail.mails m
              where d.mail_id = due.mail_id and d.address = due.address and m.mail_id = d.mail_id
             returning d.mail_id, d.account_id, d.address, d.tries, m.kind, m.period, m.about, m.created_at";
    /// The words are about to leave: from here on nobody knows whether they arrive until the server has answered.
    HAND = "update mail.deliveries set outcome = 'sending', handed_at = $4, tries = tries + 1, claimed_until = clock_timestamp() + $5
             where mail_id = $1 and address = $2 and claim = $3 and outcome = 'waiting' and claimed_until > clock_timestamp()";
    /// What the mail was called.
    SUBJECT = "update mail.mails set subject = $2 where mail_id = $1";
    /// The end of a delivery.
    FINISH = "update mail.deliveries set outcome = $4, ended_at = $5, reply = $6, claim = null, claimed_until = null
               where mail_id = $1 and address = $2 and claim = $3";
    /// The server wants it again later, or could not be reached.
    AGAIN = "update mail.deliveries set outcome = 'waiting', next_try = $4, reply = $5, tries = tries + $6, claim = null, claimed_until = null
              where mail_id = $1 and address = $2 and claim = $3";
    /// Whoever handed these over did not come back with an answer.
    LOST = "update mail.deliveries set outcome = 'unknown', ended_at = $1, claim = null, claimed_until = null,
                   reply = 'the process ended before the answer of the mail server was kept'
             where outcome = 'sending' and claimed_until < clock_timestamp()";
    /// Deliveries that wait, and since when the oldest of them does.
    BACKLOG = "select count(*) as waiting, min(m.created_at) as oldest from mail.deliveries d join mail.mails m using (mail_id)
                where d.outcome = 'waiting'";
    /// Mails of long ago.
    PRUNE = "delete from mail.mails where mail_id in (select mail_id from mail.mails where created_at < $1 order by created_at limit $2)";
}

/// A mail to be made.
#[derive(Clone, Debug)]
pub struct NewMail {
    /// Its id.
    pub id: Uuid,
    /// Whose; none is the provider's.
    pub account: Option<AccountId>,
    /// What about.
    pub kind: Kind,
    /// It is made once in this period.
    pub period: String,
    /// What its words are made from.
    pub about: serde_json::Value,
    /// No other reminder is due before then.
    pub quiet_until: Option<OffsetDateTime>,
    /// Who gets it.
    pub to: Vec<Address>,
}

/// Makes mails that were not made yet; tells which were. Earlier reminders of the same accounts that did not go out are
/// superseded by newer ones.
///
/// # Errors
/// [`StoreError`].
pub async fn put(tx: &mut Tx, mails: &[NewMail], now: OffsetDateTime) -> Result<Vec<Uuid>, StoreError> {
    if mails.is_empty() {
        return Ok(Vec::new());
    }
    let failed = tx.failed();
    let addressed: Vec<(Uuid, &str)> =
        mails.iter().flat_map(|mail| mail.to.iter().map(|address| (mail.id, address.as_str()))).collect();
    let made: Vec<Uuid> = sqlx::query_scalar(PUT)
        .bind(mails.iter().map(|mail| mail.id).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.account.map(|account| account.0)).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.kind.as_str()).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.period.as_str()).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| sqlx::types::Json(&mail.about)).collect::<Vec<_>>())
        .bind(mails.iter().map(|mail| mail.quiet_until).collect::<Vec<_>>())
        .bind(now)
        .bind(addressed.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(addressed.iter().map(|(_, address)| *address).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await
        .map_err(failed)?;
    let reminded = mails.iter().filter(|mail| mail.kind == Kind::Reminder && made.contains(&mail.id));
    let accounts: Vec<AccountId> = reminded.filter_map(|mail| mail.account).collect();
    if !accounts.is_empty() {
        supersede(tx, &accounts, &made, now).await?;
    }
    Ok(made)
}

/// Takes back reminders of accounts that did not go out yet, but for `but`.
async fn supersede(
    tx: &mut Tx,
    accounts: &[AccountId],
    but: &[Uuid],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let ids: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
    let query = sqlx::query(SUPERSEDE).bind(&ids).bind(now).bind(but);
    let gone = query.execute(&mut **tx).await.map_err(&failed)?.rows_affected();
    if gone > 0 {
        let query = sqlx::query(FORGET).bind(&ids).bind(but).bind(now);
        query.execute(&mut **tx).await.map_err(failed)?;
    }
    Ok(())
}

/// A delivery that is claimed.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The mail.
    pub mail: Uuid,
    /// Whose.
    pub account: Option<AccountId>,
    /// To whom.
    pub to: Address,
    /// Tries before.
    pub tries: u32,
    /// What about.
    pub kind: Kind,
    /// Its period.
    pub period: String,
    /// What its words are made from.
    pub about: serde_json::Value,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// The claim.
    pub claim: Uuid,
}

/// Claims deliveries that are due, `most` at most, for `life`.
///
/// # Errors
/// [`StoreError`].
pub async fn claim(
    store: &Store,
    claim: Uuid,
    now: OffsetDateTime,
    most: i64,
    life: time::Duration,
) -> Result<Vec<Claimed>, StoreError> {
    let work = "mail.claim";
    let query = sqlx::query(CLAIM).bind(now).bind(most).bind(claim).bind(life);
    let rows = query.fetch_all(store.pool()).await.map_err(|source| StoreError::of(work, source))?;
    rows.iter().map(|row| claimed(row, claim, work)).collect()
}

fn claimed(row: &PgRow, claim: Uuid, work: &'static str) -> Result<Claimed, StoreError> {
    let odd = |column| StoreError::Inconsistent { work, column };
    Ok(Claimed {
        mail: row.get("mail_id"),
        account: row.get::<Option<Uuid>, _>("account_id").map(AccountId),
        to: Address::parse(row.get("address")).map_err(|_| odd("mail.deliveries.address"))?,
        tries: u32::try_from(row.get::<i32, _>("tries")).unwrap_or(0),
        kind: Kind::parse(row.get("kind")).ok_or_else(|| odd("mail.mails.kind"))?,
        period: row.get("period"),
        about: row.get("about"),
        created_at: row.get("created_at"),
        claim,
    })
}

/// Notes that the words are about to leave. False when the claim has lapsed or the mail is not needed any more: then
/// nothing may leave.
///
/// # Errors
/// [`StoreError`]; then nothing may leave either.
pub async fn hand(
    store: &Store,
    claimed: &Claimed,
    now: OffsetDateTime,
    life: time::Duration,
) -> Result<bool, StoreError> {
    let query = sqlx::query(HAND).bind(claimed.mail).bind(claimed.to.as_str()).bind(claimed.claim);
    let done = query.bind(now).bind(life).execute(store.pool()).await;
    Ok(done.map_err(|source| StoreError::of("mail.hand", source))?.rows_affected() == 1)
}

/// Ends a delivery. With `subject`, notes what the mail was called.
///
/// # Errors
/// [`StoreError`].
pub async fn finish(
    store: &Store,
    claimed: &Claimed,
    outcome: Outcome,
    reply: &str,
    subject: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let mut tx = store.begin("mail.finish").await?;
    let failed = tx.failed();
    if let Some(subject) = subject {
        let query = sqlx::query(SUBJECT).bind(claimed.mail).bind(subject);
        query.execute(&mut *tx).await.map_err(&failed)?;
    }
    let query = sqlx::query(FINISH).bind(claimed.mail).bind(claimed.to.as_str()).bind(claimed.claim);
    let query = query.bind(outcome.as_str()).bind(now).bind(reply);
    query.execute(&mut *tx).await.map_err(&failed)?;
    if let (Outcome::Superseded, Some(account)) = (outcome, claimed.account) {
        let query = sqlx::query(FORGET).bind(vec![account.0]).bind(Vec::<Uuid>::new()).bind(now);
        query.execute(&mut *tx).await.map_err(failed)?;
    }
    tx.commit().await
}

/// The delivery is tried again at `at`. `tried` when the server saw it.
///
/// # Errors
/// [`StoreError`].
pub async fn again(
    store: &Store,
    claimed: &Claimed,
    at: OffsetDateTime,
    reply: &str,
    tried: bool,
) -> Result<(), StoreError> {
    let query = sqlx::query(AGAIN).bind(claimed.mail).bind(claimed.to.as_str()).bind(claimed.claim);
    let query = query.bind(at).bind(reply).bind(i32::from(tried));
    query.execute(store.pool()).await.map_err(|source| StoreError::of("mail.again", source))?;
    Ok(())
}

/// Ends deliveries whose answer was lost; how many.
///
/// # Errors
/// [`StoreError`].
pub async fn lost(store: &Store, now: OffsetDateTime) -> Result<u64, StoreError> {
    let done = sqlx::query(LOST).bind(now).execute(store.pool()).await;
    Ok(done.map_err(|source| StoreError::of("mail.lost", source))?.rows_affected())
}

/// How many deliveries wait, and since when the oldest does.
///
/// # Errors
/// [`StoreError`].
pub async fn backlog(store: &Store) -> Result<(i64, Option<OffsetDateTime>), StoreError> {
    let row = sqlx::query_as(BACKLOG).fetch_one(store.pool()).await;
    row.map_err(|source| StoreError::of("mail.backlog", source))
}

/// Removes mails made before, `most` at most; how many.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<u64, StoreError> {
    let done = sqlx::query(PRUNE).bind(before).bind(most).execute(store.pool()).await;
    Ok(done.map_err(|source| StoreError::of("mail.prune", source))?.rows_affected())
}
