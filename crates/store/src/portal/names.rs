//! What the people of an account are called, so that it can be taken out of what leaves the house.

use sqlx::Row;
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
