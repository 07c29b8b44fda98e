//! What the people of an account are called: to name them, and to take their names out of what leaves the house.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::AccountId;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Names and addresses of an account's PBX users and Microsoft users.
    KNOWN = "select n.name from (
               select unnest(array[p.profile->>'display_name', p.profile->>'email', p.profile->>'voicemail_email', p.profile->>'login_name']) as name
                 from pbx.profiles p where p.account_id = $1
               union
               select unnest(array[m.display_name, m.upn]) from sync.microsoft_users m where m.account_id = $1) n
              where length(n.name) > 1";
    /// Who users are, also those whom the PBX has no more.
    NAMES = "select pbx_user_id, profile ->> 'display_name' as name, profile ->> 'extension' as extension from pbx.profiles
              where account_id = $1 and pbx_user_id = any ($2)";
}

/// Names and addresses of an account's PBX users and Microsoft users.
///
/// # Errors
/// [`StoreError`].
pub async fn known(tx: &mut Tx, account: AccountId) -> Result<Vec<String>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(KNOWN).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    Ok(rows.iter().map(|row| row.get("name")).collect())
}

/// What people call users, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// Name and extension, or the key of a user that has no name.
    #[must_use]
    pub fn of<'a>(&'a self, user: &'a str) -> &'a str {
        self.0.get(user).map_or(user, String::as_str)
    }
}

/// What the named users are called.
///
/// # Errors
/// [`StoreError`].
pub async fn names(tx: &mut Tx, account: AccountId, users: &[&str]) -> Result<Names, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query(NAMES).bind(account.0).bind(users).fetch_all(&mut **tx).await.map_err(failed)?;
    let one = |row: &PgRow| {
        let name: String = row.get::<Option<String>, _>("name").filter(|name| !name.trim().is_empty())?;
        let extension: Option<String> = row.get("extension");
        Some((
            row.get("pbx_user_id"),
            extension.map_or(name.clone(), |extension| format!("{name}, {extension}")),
        ))
    };
    Ok(Names(rows.iter().filter_map(one).collect()))
}
