//! Mappings that suggest themselves.

use std::collections::HashMap;

use serde::Deserialize;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tandem_domain::proposal::{Person, propose};
use tandem_domain::{AccountId, ObjectId, PbxUserId};

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Microsoft users that can be mapped and that nobody has.
    FREE = "select t.microsoft_user, t.upn from sync.microsoft_users t
             where t.account_id = $1 and t.not_eligible is null and t.gone_at is null
               and not exists (select from admin.mappings m where m.account_id = $1 and m.microsoft_user = t.microsoft_user)";
    /// All users that the PBX has. Their profiles are read outside: the database takes three times as long for it.
    PEOPLE = "select p.pbx_user_id, p.profile::text as profile, m.pbx_user_id is not null as mapped
                from pbx.profiles p
                left join admin.mappings m on m.account_id = $1 and m.pbx_user_id = p.pbx_user_id
               where p.account_id = $1 and p.deleted_at is null order by p.pbx_user_id";
}

/// What is read of every profile.
#[derive(Deserialize)]
struct Card {
    email: Option<String>,
    display_name: Option<String>,
    extension: Option<String>,
}

/// A PBX user and what people call it.
struct Called {
    user: PbxUserId,
    name: Option<String>,
    extension: Option<String>,
}

/// A mapping that suggests itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The PBX user.
    pub user: PbxUserId,
    /// Its name.
    pub name: Option<String>,
    /// Its extension.
    pub extension: Option<String>,
    /// The Microsoft user whose sign-in name is the user's address.
    pub microsoft_user: ObjectId,
    /// The sign-in name.
    pub upn: String,
}

/// Mappings that suggest themselves, by key of the PBX user.
///
/// # Errors
/// [`StoreError`].
pub async fn proposals(tx: &mut Tx, account: AccountId) -> Result<Vec<Proposal>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let odd = |_| StoreError::Inconsistent { work, column: "pbx.profiles.profile" };
    let rows = sqlx::query(FREE).bind(account.0).fetch_all(&mut **tx).await.map_err(&failed)?;
    let free: HashMap<String, PgRow> =
        rows.into_iter().map(|row| (row.get::<&str, _>("upn").to_lowercase(), row)).collect();
    if free.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(PEOPLE).bind(account.0).fetch_all(&mut **tx).await.map_err(failed)?;
    let person = |row: PgRow| {
        let card: Card = serde_json::from_str(row.get("profile")).map_err(odd)?;
        let called = Called {
            user: PbxUserId(row.get("pbx_user_id")),
            name: card.display_name,
            extension: card.extension,
        };
        Ok(Person { email: card.email, mapped: row.get("mapped"), who: called })
    };
    let people = rows.into_iter().map(person).collect::<Result<Vec<_>, StoreError>>()?;
    let one = |(called, microsoft): (Called, &PgRow)| Proposal {
        user: called.user,
        name: called.name,
        extension: called.extension,
        microsoft_user: ObjectId(microsoft.get("microsoft_user")),
        upn: microsoft.get("upn"),
    };
    Ok(propose(people, &free).into_iter().map(one).collect())
}
