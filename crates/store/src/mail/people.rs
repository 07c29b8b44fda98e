//! Who gets an account's mail, and when.

use sqlx::Row;
use tandem_domain::AccountId;
use tandem_domain::mail::{Address, RecipientRole};
use tandem_domain::reminder::Chosen;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Addresses of accounts. The Global Admin has that of the sign-in unless another one is saved.
    ADDRESSES = "select r.account_id, r.address, r.role from mail.recipients r where r.account_id = any ($1)
                 union all
                 select v.account_id, v.admin_name, 'global_admin' from vault.authorizations v
                  where v.account_id = any ($1) and v.admin_name is not null
                    and not exists (select from mail.recipients r where r.account_id = v.account_id and r.role = 'global_admin')
                 order by 1, 3, 2";
    /// Addresses that mail servers refused for good three times since they last took a mail; tried again after a week, and
    /// once they were saved anew.
    REFUSED = "select d.account_id, d.address from mail.deliveries d
                 left join mail.recipients r on r.account_id = d.account_id and r.address = d.address
                where d.account_id = any ($1) and d.outcome = 'refused' and d.ended_at > $2::timestamptz - interval '7 days'
                  and d.ended_at > coalesce(r.added_at, '-infinity')
                  and not exists (select from mail.deliveries s where s.account_id = d.account_id and s.address = d.address
                                     and s.outcome = 'sent' and s.ended_at > d.ended_at)
                group by d.account_id, d.address having count(*) >= 3";
    /// When an account gets its mail.
    SETTINGS = "select a.time_zone, t.hour from admin.accounts a left join mail.settings t using (account_id) where a.account_id = $1";
    /// Saves its hour.
    SAVE = "insert into mail.settings (account_id, hour, updated_at) values ($1, $2, $3)
            on conflict (account_id) do update set hour = excluded.hour, updated_at = excluded.updated_at";
    /// Saves its time zone.
    SAVE_ZONE = "update admin.accounts set time_zone = $2 where account_id = $1";
    /// Who gets it, as saved.
    RECIPIENTS = "select address, role, added_by, added_at from mail.recipients where account_id = $1 order by role, address";
    /// Adds an address, or gives it another role.
    ADD = "insert into mail.recipients (account_id, address, role, added_by, added_at) values ($1, $2, $3, $4, $5)
           on conflict (account_id, address) do update set role = excluded.role, added_by = excluded.added_by, added_at = excluded.added_at";
    /// There is one address of the Global Admin.
    REPLACE_ADMIN = "delete from mail.recipients where account_id = $1 and role = 'global_admin'";
    /// Takes an address off.
    REMOVE = "delete from mail.recipients where account_id = $1 and address = $2";
    /// Domains of the account's tenant: what its users and its Global Admin sign in under.
    DOMAINS = "select distinct lower(split_part(u.upn, '@', 2)) from sync.microsoft_users u where u.account_id = $1 and u.gone_at is null
               union select lower(split_part(v.admin_name, '@', 2)) from vault.authorizations v where v.account_id = $1 and v.admin_name is not null";
}

/// Who gets an account's mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The Global Admin and whoever was chosen.
    pub first: Vec<Address>,
    /// The second contact.
    pub second: Vec<Address>,
}

impl Addresses {
    /// Addresses of a mail, each once. Where the first are none, the second are all there is.
    #[must_use]
    pub fn of(&self, second_contact: bool) -> Vec<Address> {
        let second = second_contact || self.first.is_empty();
        let all = self.first.iter().chain(self.second.iter().filter(|_| second));
        let mut all: Vec<Address> = all.cloned().collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Who gets the mail of accounts, in their order. Names that are no address, and addresses that refuse mail, are left out.
///
/// # Errors
/// [`StoreError`].
pub async fn addresses(
    tx: &mut Tx,
    accounts: &[AccountId],
    now: OffsetDateTime,
) -> Result<Vec<Addresses>, StoreError> {
    let failed = tx.failed();
    let ids: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
    let rows = sqlx::query(ADDRESSES).bind(&ids).fetch_all(&mut **tx).await.map_err(&failed)?;
    let refused: Vec<(Uuid, String)> =
        sqlx::query_as(REFUSED).bind(&ids).bind(now).fetch_all(&mut **tx).await.map_err(&failed)?;
    let mut found = vec![Addresses::default(); accounts.len()];
    for row in rows {
        let account: Uuid = row.get("account_id");
        let Ok(address) = Address::parse(row.get("address")) else { continue };
        if refused.iter().any(|(of, text)| *of == account && text == address.as_str()) {
            continue;
        }
        let Some(place) = ids.iter().position(|id| *id == account) else { continue };
        match row.get("role") {
            "second_contact" => found[place].second.push(address),
            _ => found[place].first.push(address),
        }
    }
    Ok(found)
}

/// When an account gets its mail, as far as it has chosen.
///
/// # Errors
/// [`StoreError`].
pub async fn calendar(tx: &mut Tx, account: AccountId) -> Result<Chosen, StoreError> {
    let failed = tx.failed();
    let row = sqlx::query(SETTINGS).bind(account.0).fetch_one(&mut **tx).await.map_err(failed)?;
    Ok(Chosen { zone: row.get("time_zone"), hour: row.get("hour") })
}

/// Saves when an account gets its mail.
///
/// # Errors
/// [`StoreError`].
pub async fn save_calendar(
    tx: &mut Tx,
    account: AccountId,
    (zone, hour): (&str, i16),
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(SAVE).bind(account.0).bind(hour).bind(now);
    query.execute(&mut **tx).await.map_err(&failed)?;
    let query = sqlx::query(SAVE_ZONE).bind(account.0).bind(zone);
    query.execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Somebody who gets mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where.
    pub address: Address,
    /// Why.
    pub role: RecipientRole,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub added_at: OffsetDateTime,
}

/// Who gets an account's mail, as saved.
///
/// # Errors
/// [`StoreError`].
pub async fn recipients(tx: &mut Tx, account: AccountId) -> Result<Vec<Recipient>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let rows = sqlx::query(RECIPIENTS).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    let odd = |column| StoreError::Inconsistent { work, column };
    rows.iter()
        .map(|row| {
            Ok(Recipient {
                address: Address::parse(row.get("address")).map_err(|_| odd("mail.recipients.address"))?,
                role: RecipientRole::parse(row.get("role")).ok_or_else(|| odd("mail.recipients.role"))?,
                added_by: row.get("added_by"),
                added_at: row.get("added_at"),
            })
        })
        .collect()
}

/// Adds somebody; a new address of the Global Admin takes the place of the old one.
///
/// # Errors
/// [`StoreError`].
pub async fn add(tx: &mut Tx, account: AccountId, new: &Recipient) -> Result<(), StoreError> {
    let failed = tx.failed();
    if new.role == RecipientRole::GlobalAdmin {
        sqlx::query(REPLACE_ADMIN).bind(account.0).execute(&mut **tx).await.map_err(&failed)?;
    }
    let query = sqlx::query(ADD).bind(account.0).bind(new.address.as_str()).bind(new.role.as_str());
    query.bind(&new.added_by).bind(new.added_at).execute(&mut **tx).await.map_err(failed)?;
    Ok(())
}

/// Takes an address off; whether it was there.
///
/// # Errors
/// [`StoreError`].
pub async fn remove(tx: &mut Tx, account: AccountId, address: &str) -> Result<bool, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query(REMOVE).bind(account.0).bind(address);
    Ok(query.execute(&mut **tx).await.map_err(failed)?.rows_affected() == 1)
}

/// Domains that people of the account's tenant sign in under.
///
/// # Errors
/// [`StoreError`].
pub async fn domains(tx: &mut Tx, account: AccountId) -> Result<Vec<String>, StoreError> {
    let failed = tx.failed();
    let query = sqlx::query_scalar::<_, Option<String>>(DOMAINS).bind(account.0);
    let found = query.fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(found.into_iter().flatten().filter(|domain| !domain.is_empty()).collect())
}
